"""Optimizers that are told the diagonal of the Hessian, the same as their reference."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytorch_optimizer
import torch
from labml_nn.optimizers.sophia import Sophia
from torch import Tensor

import schuss
from tests.conformance.trajectories import Training
from tests.ledger.row import Row
from tests.ledger.transcription import Array, transcribed

INTERVAL, EXAMPLES = 10, 16


def curvature(grad: Tensor) -> Tensor:
    """Return what is to be the curvature: of both signs, and another number in every step."""
    return (3 * grad).sin() + 0.5


class _Told(torch.optim.Optimizer):
    """Computes the diagonal itself, and tells a reference in its step."""

    def step(self, closure: Any = None) -> Any:
        theirs: Any = super()
        return theirs.step(closure, hessian=curvatures(self))


class AdaHessian(_Told, pytorch_optimizer.AdaHessian):  # type: ignore[misc]
    """Theirs."""


class SophiaH(_Told, pytorch_optimizer.SophiaH):  # type: ignore[misc]
    """Theirs."""


def curvatures(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [curvature(p.grad) for group in optimizer.param_groups for p in group["params"]]


def tell(optimizer: torch.optim.Optimizer, step: int) -> None:
    """Tell ours the curvature, before each step."""
    if isinstance(optimizer, schuss.AdaHessian | schuss.SophiaH):
        optimizer.set_hessian(curvatures(optimizer))


def take(optimizer: torch.optim.Optimizer, step: int) -> None:
    """Let it take the gradients for those of sampled labels, before every tenth step."""
    if step % INTERVAL == 0 and isinstance(optimizer, schuss.Sophia | Sophia):
        optimizer.update_hessian(EXAMPLES)


def adahessian(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    s["m"] = 0.9 * s.get("m", 0 * x) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0 * x) + 0.001 * (np.sin(3 * g) + 0.5) ** 2
    m, v = s["m"] / (1 - 0.9**t), s["v"] / (1 - 0.999**t)
    moved: Array = x - h["lr"] * m / (v ** (h["k"] / 2) + 1e-8)
    return moved


def sophia(s: dict[str, Any], x: Array, g: Array, t: int, h: dict[str, Any]) -> Array:
    if (t - 1) % INTERVAL == 0:
        s["h"] = 0.95 * s.get("h", 0 * x) + 0.05 * EXAMPLES * g**2
    s["m"] = 0.9 * s.get("m", 0 * x) + 0.1 * g
    x = x - h["lr"] * 0.3 * x
    moved: Array = x - h["lr"] * np.clip(s["m"] / np.maximum(0.03 * s["h"], 1e-12), -1, 1)
    return moved


ALWAYS = Training(steady=True, scheduled=True, before_step=tell)
SAMPLED = Training(second_group={"lr": 1e-2}, scheduled=True, before_step=take)
# The t-th gradient of a parameter is of the t-th step for all.
SAMPLED_ALWAYS = Training(steady=True, scheduled=True, before_step=take)
SETTING: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.3}
OF_H = {**SETTING, "betas": (0.96, 0.99), "eps": 1e-2}

ROWS = [
    Row(
        "adahessian",
        partial(AdaHessian, eps=1e-8, **SETTING),
        "AdaHessian",
        SETTING,
        "pytorch-optimizer",
        training=ALWAYS,
    ),
    Row(
        "adahessian",
        transcribed(adahessian, lr=0.1, k=0.5),
        "Algorithm 1, without blocks",
        {"lr": 0.1, "hessian_power": 0.5},
        options="half the power",
        training=ALWAYS,
    ),
    Row(
        "sophiah",
        partial(SophiaH, p=1.0, **OF_H),
        "SophiaH",
        {**OF_H, "rho": 1.0},
        "pytorch-optimizer",
        training=ALWAYS,
    ),
    Row(
        "sophia",
        partial(Sophia, lr=0.1, eps=1e-3),
        "Sophia",
        {"lr": 0.1, "eps": 1e-3, "add_eps": True},
        "labml-nn",
        "stabilizer added",
        training=SAMPLED,
    ),
    Row(
        "sophia",
        transcribed(sophia, lr=0.1),
        "Algorithms 2 and 3",
        SETTING,
        training=SAMPLED_ALWAYS,
    ),
]
