"""Optimizers that estimate the distance to the solution, in their authors' packages."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from functools import partial
from typing import Any

import dadaptation
import prodigyopt
import torch

from tests.conformance.trajectories import Training
from tests.ledger.row import Row

ONE_GROUP = Training(steady=True)
SCALED = Training(steady=True, second_group={"layer_scale": 0.5})
SPELLED = {"decoupled_weight_decay": "decouple"}


def _quiet(theirs: Any, params: Any, **hyperparameters: Any) -> torch.optim.Optimizer:
    with contextlib.redirect_stdout(io.StringIO()):  # they print how they decay
        optimizer: torch.optim.Optimizer = theirs(params, **hyperparameters)
    return optimizer


def _row(name: str, theirs: Any, options: str = "defaults", **ours: Any) -> Row:
    ours = {"d0": 1e-2, **ours}
    reference = {SPELLED.get(key, key): value for key, value in ours.items()}
    package = theirs.__module__.split(".")[0]
    return Row(
        name,
        partial(_quiet, theirs, **reference),
        theirs.__name__,
        ours,
        package,
        options,
        ONE_GROUP,
        # The estimate feeds back on itself.
        tolerance32=1e-3,
    )


ROWS = [
    _row("prodigy", prodigyopt.Prodigy),
    _row("prodigy", prodigyopt.Prodigy, "decay", weight_decay=0.3),
    _row(
        "prodigy",
        prodigyopt.Prodigy,
        "bias corrected, safeguarded, bounded",
        use_bias_correction=True,
        safeguard_warmup=True,
        growth_rate=1.02,
        d_coef=2.0,
    ),
    _row("prodigy", prodigyopt.Prodigy, "decay rates", betas=(0.8, 0.9), beta3=0.95),
    _row("dadaptadam", dadaptation.DAdaptAdam),
    replace(_row("dadaptadam", dadaptation.DAdaptAdam, "layers scaled"), training=SCALED),
    _row(
        "dadaptadam",
        dadaptation.DAdaptAdam,
        "decoupled, bias corrected",
        weight_decay=0.3,
        decoupled_weight_decay=True,
        use_bias_correction=True,
    ),
    _row(
        "dadaptadam",
        dadaptation.DAdaptAdam,
        "decay added, bounded",
        weight_decay=0.3,
        growth_rate=1.1,
    ),
    _row("dadaptlion", dadaptation.DAdaptLion, weight_decay=0.3),
    _row("dadaptsgd", dadaptation.DAdaptSGD),
    _row("dadaptsgd", dadaptation.DAdaptSGD, "momentum, bounded", momentum=0.9, growth_rate=1.1),
]
