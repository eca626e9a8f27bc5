"""Optimizers that look at norms, in timm and in optimi."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import optimi

from schuss import WeightDecay
from tests.ledger.row import STEADY, Row
from tests.ledger.timm_optim import timm_class

LR = {"lr": 3e-2}
DECAY = {**LR, "weight_decay": 0.3}
ALONE = {**LR, "weight_decay": 0.0, "always_adapt": True}
LAMB, LARS = timm_class("lamb", "Lamb"), timm_class("lars", "Lars")
MARS, NOVOGRAD = timm_class("mars", "Mars"), timm_class("nvnovograd", "NvNovoGrad")

# Theirs does not adapt what does not decay.
EXEMPT = replace(STEADY, second_group={"weight_decay": 0.0, "layer_adaptation": False})


def _row(name: str, theirs: Any, options: str, ours: Mapping[str, Any], **reference: Any) -> Row:
    return Row(name, partial(theirs, **reference), theirs.__name__, ours, "timm", options)


def _lamb(options: str, ours: Mapping[str, Any], **reference: Any) -> Row:
    row = _row("lamb", LAMB, options, ours, max_grad_norm=None, **reference)
    return replace(row, training=STEADY)


def _novograd(options: str, **both: Any) -> Row:
    return replace(
        _row("novograd", NOVOGRAD, options, both, **both),
        tolerance=1e-7,
        deviation="theirs keeps the second moment in float32, whatever the parameter's dtype",
    )


ROWS = [
    _lamb("defaults", DECAY, **DECAY),
    _lamb("bounded, no decay", {**LR, "max_trust_ratio": 1.0}, **ALONE, trust_clip=True),
    _lamb("decoupled", {**LR, "weight_decay": WeightDecay(0.3)}, **DECAY, decoupled_decay=True),
    _lamb(
        "no bias correction", {**DECAY, "bias_correction": False}, **DECAY, bias_correction=False
    ),
    replace(_lamb("partly not adapted", DECAY, **DECAY), training=EXEMPT),
    replace(
        _row("lars", LARS, "defaults", DECAY, **DECAY, momentum=0.9),
        deviation="where a gradient is zero, theirs decays with a local rate of 1",
    ),
    _row(
        "lars",
        LARS,
        "Nesterov, no decay",
        {**LR, "nesterov": True, "trust_coefficient": 0.1},
        **ALONE,
        nesterov=True,
        momentum=0.9,
        trust_coeff=0.1,
    ),
    _row("lars", LARS, "no local rate", {**LR, "trust_coefficient": None}, **LR, momentum=0.9),
    replace(
        _row("mars", MARS, "defaults", DECAY, **DECAY, betas=(0.95, 0.99), betas_1d=(0.9, 0.95)),
        deviation="theirs leaves the first gradient as it is; all of these are clipped to one norm",
    ),
    _novograd("defaults", **DECAY),
    _novograd("averaged", **DECAY, grad_averaging=True),
    Row(
        "stableadamw",
        partial(optimi.StableAdamW, **DECAY, triton=False),
        "StableAdamW",
        DECAY,
        "torch-optimi",
        training=STEADY,
    ),
]
