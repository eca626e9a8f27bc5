"""Schedule-free optimizers, in their authors' package; GPA, from its paper."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import schedulefree

from tests.ledger.row import STEADY, Row
from tests.ledger.transcription import Array, transcribed


def _training(theirs: Any, params: Any, **setting: Any) -> Any:
    optimizer = theirs(params, **setting)
    optimizer.train()
    return optimizer


def _row(name: str, theirs: Any, options: str = "defaults", **setting: Any) -> Row:
    reference = partial(_training, theirs, **setting, foreach=False)
    return Row(name, reference, theirs.__name__, setting, "schedulefree", options, STEADY)


def gpa(s: dict[str, Any], y: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    """All three sequences, as they stand in the paper, with a decay that x follows from."""
    s["m"] = 0.9 * s.get("m", 0 * y) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0 * y) + 0.001 * g**2
    d = s["m"] / (1 - 0.9**t) / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8)
    shrunk = 1 - h["lr"] * h["decay"]
    y, z = (shrunk * y, s.get("z", y)) if h["on_y"] else (y, shrunk * s.get("z", y))
    x = (y - 0.3 * z) / 0.7
    s["z"] = z - h["lr"] * d
    moved: Array = 0.7 * (0.9 * x + 0.1 * s["z"]) + 0.3 * s["z"]
    return moved


def _gpa(source: str, options: str, decay: float, *, on_y: bool = False) -> Row:
    ours = {"lr": 3e-2, "eval_interp_coeff": 0.9, "weight_decay": decay, "decay_on_y": on_y}
    reference = transcribed(gpa, lr=3e-2, decay=decay, on_y=on_y)
    return Row("gpa", reference, source, ours, options=options)


GPA_ADAMW = "the authors' GPAAdamW"
WARM = {"warmup_steps": 20, "r": 0.5, "weight_decay": 0.3}
WEIGHTS = {"r": 1.0, "weight_lr_power": 0.0}

RADAM = schedulefree.RAdamScheduleFree

ROWS = [
    _gpa("Algorithm 1, with AdamW", "defaults", 0.0),
    _gpa(GPA_ADAMW, "decay", 0.3),
    _gpa(GPA_ADAMW, "decay on y", 0.3, on_y=True),
    _row("radamschedulefree", RADAM, lr=3e-2, weight_decay=0.3),
    _row("radamschedulefree", RADAM, "not silent", lr=3e-2, silent_sgd_phase=False, r=0.5),
    _row("sgdschedulefree", schedulefree.SGDScheduleFree, lr=0.1),
    _row("sgdschedulefree", schedulefree.SGDScheduleFree, "warm-up, decay", lr=0.1, **WARM),
    _row("sgdschedulefree", schedulefree.SGDScheduleFree, "other weights", lr=0.1, **WEIGHTS),
    _row("adamwschedulefree", schedulefree.AdamWScheduleFree, lr=3e-2),
    _row("adamwschedulefree", schedulefree.AdamWScheduleFree, "other weights", lr=3e-2, **WEIGHTS),
    _row("adamwschedulefree", schedulefree.AdamWScheduleFree, "warm-up, decay", lr=3e-2, **WARM),
]
