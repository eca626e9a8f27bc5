"""The optimizers and transforms that are tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import nn

import schuss
from schuss import Optimizer, transforms
from tests.algorithms import OF_MATRICES, TRACED, in_float32
from tests.conformance.trajectories import ONE_RATE
from tests.gpu.machine import Machine

Make: TypeAlias = Callable[..., Optimizer]


TRANSFORMS: dict[str, Callable[[], Any]] = {
    "Accumulate": lambda: transforms.Accumulate(2),
    "Cautious": transforms.Cautious,
    "ClipAdaptive": transforms.ClipAdaptive,
    "ClipByGlobalNorm": lambda: transforms.ClipByGlobalNorm(1.0),
    "ClipByNorm": lambda: transforms.ClipByNorm(1.0),
    "ClipByValue": lambda: transforms.ClipByValue(1.0),
    "ClipUpdate": lambda: transforms.ClipUpdate(1.0),
    "DecayToStart": lambda: transforms.DecayToStart(0.1),
    "EMA": lambda: transforms.EMA(0.99),
    "GradientCentralization": transforms.GradientCentralization,
    "GradientNoise": lambda: transforms.GradientNoise(0.1),
    "Grokfast": transforms.Grokfast,
    "Hyperball": transforms.Hyperball,
    "Lookahead": transforms.Lookahead,
    "OrthogonalGradient": transforms.OrthogonalGradient,
    "QKClip": transforms.QKClip,
    "SkipNonFinite": transforms.SkipNonFinite,
    "TrustRatio": transforms.TrustRatio,
}
"""All but `SAM`, which needs a closure, and projections, which read the step count in Python."""


def _optimizer(name: str, params: Sequence[nn.Parameter], **options: Any) -> Optimizer:
    lr = 1.0 if name in ONE_RATE else 1e-3
    return schuss.create_optimizer(name, params, **{"lr": lr, **options})


def _of_matrices(name: str, params: Sequence[nn.Parameter], **options: Any) -> Optimizer:
    """Return an optimizer of the matrices among some parameters; the others stay as they are."""
    matrices = [param for param in params if param.dim() == 2]
    return schuss.create_optimizer(name, matrices, **{"lr": 1e-3, **in_float32(name), **options})


def _transformed(name: str, params: Sequence[nn.Parameter], **options: Any) -> Optimizer:
    return schuss.AdamW(params, transforms=[TRANSFORMS[name]()], **options)


def rules() -> dict[str, Make]:
    """Return constructors by name: of all optimizers, and of AdamW with each transform."""
    found: dict[str, Make] = {name: partial(_optimizer, name) for name in TRACED}
    found |= {f"adamw, {name}": partial(_transformed, name) for name in TRANSFORMS}
    found |= {name: partial(_of_matrices, name) for name in OF_MATRICES}
    found["adamw, tensor lr"] = _with_tensor_lr
    return found


def _with_tensor_lr(params: Sequence[nn.Parameter], **options: Any) -> Optimizer:
    lr = torch.tensor(1e-3, device=params[0].device)
    return schuss.AdamW(params, **{"lr": lr, **options})


SHAPES = ((64, 33), (1000,), (8, 4, 3, 3), (), (64, 33))
REHEARSED = ((5, 3), (40,), (2, 2, 3, 3), (), (5, 3))


def with_gradients(machine: Machine) -> list[nn.Parameter]:
    """Return parameters that have gradients, every time the same random numbers."""
    draw = torch.Generator().manual_seed(0)
    shapes = REHEARSED if machine.rehearses else SHAPES
    params = [nn.Parameter(torch.randn(s, generator=draw).to(machine.device)) for s in shapes]
    for param in params:
        param.grad = torch.randn(param.shape, generator=draw).to(machine.device)
    return params
