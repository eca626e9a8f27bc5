"""CAME, SM3 and Adam-mini: their authors' packages, a collection, and the papers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import adam_mini
import came_pytorch
import numpy as np
import pytorch_optimizer
import torch

from tests.conformance.trajectories import FLAT, Training
from tests.ledger.row import EVERYTHING, Row
from tests.ledger.transcription import Array, transcribed

LR = {"lr": 3e-2}
DECAY = {**LR, "weight_decay": 0.3}
BETA = 0.9


def sm3(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    slices = [tuple(d for d in range(x.ndim) if d != kept) for kept in range(max(x.ndim, 1))]
    mu = [s.get(f"mu{r}", np.zeros(())) for r in range(len(slices))]
    nu = BETA * np.minimum.reduce(np.broadcast_arrays(*mu)) + (1 - BETA) * g**2
    for r, others in enumerate(slices):
        s[f"mu{r}"] = nu.max(axis=others, keepdims=True) if others else nu
    s["u"] = 0.9 * s.get("u", 0 * x) + 0.1 * g / np.sqrt(nu + 1e-30)
    moved: Array = x - h["lr"] * s["u"]
    return moved


def _mini(name: str, **options: Any) -> Any:
    """Return what creates the authors' optimizer, for parameters that all have one name."""

    def create(groups: Any) -> torch.optim.Optimizer:
        params = [(name, param) for group in groups for param in group["params"]]
        optimizer: torch.optim.Optimizer = adam_mini.Adam_mini(params, **options, verbose=False)
        return optimizer

    return create


def _adam_mini(options: str, name: str, blocks: Any, shapes: Any, **theirs: Any) -> Row:
    # Their groups are one for each parameter. What has bias or norm in its name does not decay.
    both = LR if "bias" in name else DECAY
    training = Training(scheduled=True, shapes=shapes)
    return Row(
        "adammini",
        _mini(name, **both, **theirs),
        "Adam_mini",
        {**both, "blocks": blocks},
        "adam-mini",
        options,
        training=training,
    )


# Of more dimensions than two, SM3 runs on the loop alone.
AT_MOST_MATRICES = replace(EVERYTHING, shapes=FLAT)
MATRICES = ((8, 4), (4, 6), (12, 2), (1, 1))
MIXED = ((8, 4), (7,), (), (3, 2, 2))
OF_TWO_HEADS = ((4, 4), (2, 8), (8, 2), (16, 1))

ROWS = [
    Row("came", partial(came_pytorch.CAME, **DECAY), "CAME", DECAY, "came-pytorch"),
    Row(
        "came",
        partial(came_pytorch.CAME, **LR, betas=(0.5, 0.8, 0.9), eps=(1e-3, 1e-2)),
        "CAME",
        {**LR, "betas": (0.5, 0.8, 0.9), "eps": (1e-3, 1e-2)},
        "came-pytorch",
        "rates and stabilizers",
    ),
    Row(
        "sm3",
        partial(pytorch_optimizer.SM3, momentum=0.9, **LR),
        "SM3",
        LR,
        "pytorch-optimizer",
        training=AT_MOST_MATRICES,
    ),
    Row(
        "sm3",
        partial(pytorch_optimizer.SM3, **LR),
        "SM3",
        {**LR, "momentum": 0.0},
        "pytorch-optimizer",
        "no momentum",
        AT_MOST_MATRICES,
    ),
    Row(
        "sm3",
        transcribed(sm3, **LR),
        "Algorithm SM3-II",
        {**LR, "beta": BETA},
        options="means for sums",
        training=AT_MOST_MATRICES,
        deviation="pytorch-optimizer never lets its bounds fall, so that they are no means",
    ),
    _adam_mini("rows", "mlp.weight", "row", MATRICES),
    _adam_mini("tensors", "other", "tensor", MIXED),
    _adam_mini("elements", "bias", "element", MIXED),
    _adam_mini("heads", "wq.weight", 2, OF_TWO_HEADS, dim=4, n_heads=2),
]
