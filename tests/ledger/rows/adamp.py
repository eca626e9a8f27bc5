"""AdamP and SGDP, in their authors' package, and written down from their paper."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import adamp
import numpy as np

from tests.ledger.row import Row
from tests.ledger.transcription import Array, transcribed

LR = {"lr": 3e-2}
# Random gradients are seldom at a right angle to the weights.
OFTEN = {"delta": 2.0, "wd_ratio": 0.5}


def _row(theirs: Any, options: str, **both: Any) -> Row:
    both = {**LR, "weight_decay": 0.3, **both}
    name = theirs.__name__
    return Row(name.lower(), partial(theirs, **both), name, both, "adamp", options)


def sgdp(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    s["b"] = q = 0.9 * s.get("b", 0 * x) + g
    share = 1.0
    for shape in ((len(x), -1), (1, -1)) if x.ndim > 1 else ():
        theta, slope = x.reshape(shape), g.reshape(shape)
        length = np.sqrt((theta**2).sum(1, keepdims=True))
        cosine = (theta * slope).sum(1, keepdims=True) / length
        cosine /= np.sqrt((slope**2).sum(1, keepdims=True))
        if np.abs(cosine).max() < 2 / np.sqrt(theta[0].size):
            unit = theta / (length + 1e-8)
            along = (unit * q.reshape(shape)).sum(1, keepdims=True)
            q, share = q - (along * unit).reshape(x.shape), 0.5
            break
    moved: Array = x - h["lr"] * (q + share * 0.3 / (1 - 0.9) * x)
    return moved


MOMENTUM = {**LR, "weight_decay": 0.3, "momentum": 0.9, **OFTEN}
ROWS = [
    _row(adamp.AdamP, "defaults"),
    _row(adamp.AdamP, "often projected", **OFTEN),
    _row(adamp.AdamP, "often projected, Nesterov", **OFTEN, nesterov=True),
    _row(adamp.SGDP, "defaults"),
    replace(
        _row(adamp.SGDP, "often projected, Nesterov", **OFTEN, momentum=0.9, nesterov=True),
        deviation="without Nesterov theirs projects the buffer too, in place; the paper's does not",
    ),
    Row("sgdp", transcribed(sgdp, **LR), "Algorithm 1", MOMENTUM, options="often projected"),
]
