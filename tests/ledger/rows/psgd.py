"""PSGD of Kronecker products: a collection, and the algorithm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import pytorch_optimizer
import torch
from torch import Tensor

from tests.algorithms import MATRIX_SHAPES
from tests.ledger.row import EVERYTHING, STEADY, Row
from tests.ledger.transcription import Array, transcribed

DECAY = {"lr": 3e-2, "weight_decay": 0.3}


def noise(shape: Any, step: int) -> Tensor:
    """Return the noise that ours draws for one matrix."""
    generator = torch.Generator().manual_seed(step)
    return torch.randn(shape, generator=generator)


class Kron(pytorch_optimizer.Kron):
    """Theirs, with the noise that ours draws."""

    count = 0

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        self.count += 1

        def drawn(x: Tensor, dtype: torch.dtype) -> Tensor:
            return noise(x.shape, self.count).to(dtype)

        with mock.patch("torch.randn_like", drawn):
            return super().step(closure)


def bound(x: Array) -> float:
    row = x[np.argmax((x**2).sum(axis=1))]
    v = x @ row
    return float(np.linalg.norm(x @ v) / np.linalg.norm(v))


def psgd(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    rows, cols = g.shape
    s["m"] = 0.9 * s.get("m", 0 * g) + 0.1 * g
    m = s["m"] / (1 - 0.9**t)
    left, right = s.setdefault("L", np.eye(rows)), s.setdefault("R", np.eye(cols))
    if (t - 1) % 3 == 0:
        a = left @ m @ right.T
        b = np.linalg.inv(left).T @ noise(g.shape, t).double().numpy() @ np.linalg.inv(right)
        for key, p, q in (("L", a @ a.T, b @ b.T), ("R", a.T @ a, b.T @ b)):
            s[key] = s[key] - 0.1 / bound(p + q) * np.triu(p - q) @ s[key]
        left, right = s["L"], s["R"]
    u = left.T @ left @ m @ right.T @ right
    u = u * min(1.0, 1.1 / (np.sqrt((u**2).mean()) + 1e-6))
    moved: Array = x * (1 - h["lr"] * h["weight_decay"]) - h["lr"] * u
    return moved


ROWS = [
    Row(
        "psgdkron",
        partial(
            Kron,
            **DECAY,
            pre_conditioner_update_probability=1.0,
            balance_prob=0.0,
            precondition_dtype=torch.float64,
        ),
        "Kron",
        DECAY,
        "pytorch-optimizer",
        training=replace(STEADY, shapes=MATRIX_SHAPES),
        tolerance=1e-5,
        deviation="given the noise that ours draws; theirs solves in float32",
    ),
    Row(
        "psgdkron",
        transcribed(psgd, **DECAY),
        "the algorithm",
        {**DECAY, "precondition_frequency": 3},
        options="every 3 steps",
        training=replace(EVERYTHING, shapes=MATRIX_SHAPES),
        deviation="given the noise that ours draws",
    ),
]
