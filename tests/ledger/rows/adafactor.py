"""Adafactor: `torch.optim`, the paper, and the conventions of others."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pytorch_optimizer
import torch

from tests.conformance.trajectories import Training
from tests.ledger.row import Row
from tests.ledger.timm_optim import timm_class
from tests.ledger.transcription import Array, transcribed


def _product(s: dict[str, Any], key: str, square: Array, beta: float) -> Array:
    """Return the second moment of Algorithms 4 and 5, from sums of rows and columns."""
    if square.ndim < 2:
        s[key] = beta * s.get(key, 0 * square) + (1 - beta) * square
        whole: Array = s[key]
        return whole
    row, col = square.sum(-1, keepdims=True), square.sum(-2, keepdims=True)
    s[f"{key}R"] = beta * s.get(f"{key}R", 0 * row) + (1 - beta) * row
    s[f"{key}C"] = beta * s.get(f"{key}C", 0 * col) + (1 - beta) * col
    product: Array = s[f"{key}R"] * s[f"{key}C"] / s[f"{key}R"].sum(-2, keepdims=True)
    return product


def _rms(x: Array) -> float:
    return float(np.sqrt((x**2).mean()))


def adafactor(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    u = g / np.sqrt(_product(s, "V", g**2 + 1e-30, 1 - t**-0.8))
    alpha = max(1e-3, _rms(x)) * min(h["lr"], 1 / np.sqrt(t))
    moved: Array = x - alpha * u / max(1.0, _rms(u))
    return moved


def _torch(options: str, **both: Any) -> Row:
    reference = partial(torch.optim.Adafactor, **both)
    return Row("adafactor", reference, "Adafactor", both, "torch", options)


def _others(options: str, ours: Mapping[str, Any], **theirs: Any) -> Row:
    # Their relative step ignores the learning rate.
    reference = partial(pytorch_optimizer.AdaFactor, momentum_dtype=torch.float64, **theirs)
    own = {"eps_in_squares": True, "scale_decay": True, **ours}
    training = Training(steady=True)
    return Row(
        "adafactor", reference, "AdaFactor", own, "pytorch-optimizer", options, training=training
    )


def _timm(options: str, name: str, ours: Mapping[str, Any], **theirs: Any) -> Row:
    module = {"Adafactor": "adafactor", "AdafactorBigVision": "adafactor_bv"}[name]
    reference = partial(timm_class(module, name), min_dim_size_to_factor=0, **DECAY, **theirs)
    own = {"eps_in_squares": True, "relative_step": False, "scale_parameter": False, **ours}
    # Of four dimensions they choose others as rows and columns.
    training = Training(scheduled=True, shapes=((5, 3), (7,), (), (4, 6), (1, 1)))
    return Row("adafactor", reference, name, {**DECAY, **own}, "timm", options, training=training)


LR = {"lr": 3e-2}
DECAY = {**LR, "weight_decay": 0.3}
RELATIVE = {"weight_decay": 0.3, "betas": (None, 0.999)}
AVERAGED = {"weight_decay": 0.3, "betas": (0.9, 0.999)}
CONSTANT = {**LR, "relative_step": False, "scale_parameter": False}
BIG_VISION = {"d": float("inf"), "beta1": 0.9}

ROWS = [
    _torch("defaults", **DECAY),
    _torch("relative", lr=0.5, weight_decay=0.3),
    _torch("bounds", **LR, d=2.0, eps=(0.1, 0.5), beta2_decay=-0.5),
    Row(
        "adafactor",
        transcribed(adafactor, **LR),
        "Algorithms 4 and 5",
        {**LR, "eps_in_squares": True},
        options="of the paper",
    ),
    _others("scaled decay", {"weight_decay": 0.3}, **RELATIVE),
    _others("scaled decay, averaged", {"weight_decay": 0.3, "beta1": 0.9}, **AVERAGED),
    _others("constant, averaged", {**CONSTANT, "beta1": 0.9}, **CONSTANT),
    _timm("constant", "Adafactor", {}),
    _timm("constant, averaged", "AdafactorBigVision", BIG_VISION, momentum_dtype=torch.float64),
]
