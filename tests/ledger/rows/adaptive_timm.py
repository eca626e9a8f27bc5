"""Adaptive optimizers in timm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from schuss import Cautious, WeightDecay
from tests.ledger.row import EVERYTHING, STEADY, Row
from tests.ledger.timm_optim import timm_class

DECAY = {"lr": 3e-2, "weight_decay": 0.3}
BETAS = {"lr": 3e-2, "betas": (0.9, 0.99)}
BOTH = {**DECAY, **BETAS}
DECOUPLED = {"lr": 3e-2, "weight_decay": WeightDecay(0.3)}

ADAN, ADOPT = timm_class("adan", "Adan"), timm_class("adopt", "Adopt")
LAPROP, LION = timm_class("laprop", "LaProp"), timm_class("lion", "Lion")
NADAMW, RMSPROP = timm_class("nadamw", "NAdamW"), timm_class("rmsprop_tf", "RMSpropTF")


def _row(name: str, theirs: Any, options: str, ours: Mapping[str, Any], **reference: Any) -> Row:
    return Row(name, partial(theirs, **reference), theirs.__name__, ours, "timm", options)


ROWS = [
    replace(
        _row("adan", ADAN, "decay before the step", DECOUPLED, **DECAY, no_prox=True),
        training=STEADY,
    ),
    _row(
        "adopt",
        ADOPT,
        "clipped less, decoupled",
        {**BOTH, "clip_exponent": 0.333, "decoupled_weight_decay": True},
        **BOTH,
        clip_exp=0.333,
        decoupled=True,
    ),
    _row("adopt", ADOPT, "not clipped", {**BOTH, "clip_exponent": None}, **BOTH, clip_exp=None),
    replace(
        _row("laprop", LAPROP, "defaults", BETAS, **BETAS),
        training=replace(EVERYTHING, scheduled=False),
        tolerance=1e-6,
        deviation="theirs has float32 corrections, and the rate, constant here, in the momentum",
    ),
    _row("lion", LION, "maximize", {**BOTH, "maximize": True}, **BOTH, maximize=True),
    _row("lion", LION, "cautious", {**BOTH, "transforms": [Cautious()]}, **BOTH, caution=True),
    _row("nadamw", NADAMW, "defaults", BOTH, **BOTH),
    _row("nadamw", NADAMW, "maximize", {**BOTH, "maximize": True}, **BOTH, maximize=True),
    _row("rmsproptf", RMSPROP, "momentum", {**DECAY, "momentum": 0.5}, **DECAY, momentum=0.5),
    _row("rmsproptf", RMSPROP, "decoupled", DECOUPLED, **DECAY, decoupled_decay=True),
]
