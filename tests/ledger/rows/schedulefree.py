"""Schedule-free optimizers, in their authors' package."""

from __future__ import annotations

from functools import partial
from typing import Any

import schedulefree

from tests.ledger.row import STEADY, Row


def _training(theirs: Any, params: Any, **setting: Any) -> Any:
    optimizer = theirs(params, **setting)
    optimizer.train()
    return optimizer


def _row(name: str, theirs: Any, options: str = "defaults", **setting: Any) -> Row:
    reference = partial(_training, theirs, **setting, foreach=False)
    return Row(name, reference, theirs.__name__, setting, "schedulefree", options, STEADY)


WARM = {"warmup_steps": 20, "r": 0.5, "weight_decay": 0.3}

RADAM = schedulefree.RAdamScheduleFree

ROWS = [
    _row("radamschedulefree", RADAM, lr=3e-2, weight_decay=0.3),
    _row("radamschedulefree", RADAM, "not silent", lr=3e-2, silent_sgd_phase=False, r=0.5),
    _row("sgdschedulefree", schedulefree.SGDScheduleFree, lr=0.1),
    _row("sgdschedulefree", schedulefree.SGDScheduleFree, "warm-up, decay", lr=0.1, **WARM),
    _row("adamwschedulefree", schedulefree.AdamWScheduleFree, lr=3e-2),
    _row("adamwschedulefree", schedulefree.AdamWScheduleFree, "warm-up, decay", lr=3e-2, **WARM),
]
