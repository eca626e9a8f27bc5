"""Trains a handful of parameters with any optimizer, ours or another's, on the same gradients."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import schuss
from schuss.distance import DistanceAdaptive
from tests.covers import EXHAUSTIVE
from tests.engines.kernels.interpreted import kernels_interpreted

ON = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
"""The options that choose an engine."""

ONE_RATE = frozenset(
    info.name for info in schuss.list_optimizers() if issubclass(info.cls, DistanceAdaptive)
)
"""Optimizers that estimate one learning rate for all groups."""

ON_THE_HOST = frozenset(
    info.name for info in schuss.list_optimizers() if info.cls.summed is not schuss.Optimizer.summed
)
"""Optimizers that read sums over parameters on the host."""

SHAPES = ((5, 3), (7,), (), (2, 3, 4, 4), (1, 1))
FLAT = ((5, 3), (7,), (), (4, 6), (1, 1))
"""Shapes of two dimensions at most: of more, SM3 runs on the loop alone."""
REAL_ONLY = {"adafactor", "adammini", "came", "sm3"}
"""What makes statistics of rows and columns, which complex numbers would be."""
SLOW = {*REAL_ONLY, "adamp", "sgdp"}
"""What has kernels that are compiled for seconds: `make test` does that for few combinations."""

SLOW |= {info.name for info in schuss.list_optimizers() if info.cls.takes_matrices_only}


def in_little_time(name: str) -> AbstractContextManager[None]:
    """Interpret the kernels of an optimizer that is slow to compile, but in an exhaustive run."""
    return without_compiler() if name in SLOW else nullcontext()


def without_compiler() -> AbstractContextManager[None]:
    """Interpret all kernels, but in an exhaustive run.

    The text of a kernel is there, with all that decides and prepares it. Other tests of the engines
    tell that a compiler makes of the text what the interpreter makes of it.
    """
    return nullcontext() if EXHAUSTIVE else kernels_interpreted()


LATE, INTERMITTENT = 1, 2

# The loop rounds after every operation; the other engines may contract a product and a sum into one
# rounding, or multiply by a reciprocal, so that a step may be off by a few units in the last place.
# In half precision a rounding that falls the other way is off by the last place of the parameter.
TOLERANCE = {
    torch.float64: 1e-14,
    torch.float32: 3e-6,
    torch.bfloat16: 8e-3,
    torch.float16: 1e-3,
    torch.complex128: 1e-14,
    torch.complex64: 3e-6,
}


@dataclass(frozen=True)
class Training:
    """How to train.

    Attributes:
        steps: Number of steps.
        dtype: Precision of parameters and gradients.
        second_group: Hyper-parameters of the second of two groups.
        scheduled: Let `torch.optim.lr_scheduler` change the learning rate.
        saved_after: Save, create everything anew and load after so many steps.
        steady: Give every parameter a gradient in every step.
        shapes: Those of the parameters, at least three.
        before_step: What is done with the optimizer before each step, whose number it is given
            from 0.
        laid_out: Returns the numbers of a parameter as they are to lie in memory.
    """

    steps: int = 100
    dtype: torch.dtype = torch.float64
    second_group: dict[str, Any] | None = None
    scheduled: bool = False
    saved_after: int | None = None
    steady: bool = False
    shapes: Sequence[Sequence[int]] = SHAPES
    before_step: Callable[[Any, int], None] | None = None
    laid_out: Callable[[Tensor], Tensor] = torch.Tensor.detach


Create = Callable[[Any], torch.optim.Optimizer]


def trajectory(create: Create, training: Training, then: Create | None = None) -> list[Tensor]:
    """Return the parameters after training, one flat tensor for each step.

    The second parameter gets its first gradient after a third of the steps, the third one has none
    in every third.

    Args:
        create: Creates the optimizer from parameter groups.
        training: How to train.
        then: Creates the optimizer that goes on after `training.saved_after` steps, if another one.
    """
    generator = torch.Generator().manual_seed(0)
    numbers = [_random(shape, training, generator) for shape in training.shapes]
    params = [training.laid_out(each).requires_grad_() for each in numbers]
    optimizer = create(_groups(params, training))
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=training.steps)
    # In the same memory in each step, as `zero_grad(set_to_none=False)` leaves them.
    grads = [torch.empty_like(param, requires_grad=False) for param in params]
    visited = []
    for step in range(training.steps):
        if step == training.saved_after:
            saved = torch.load(_written((optimizer.state_dict(), scheduler.state_dict())))
            optimizer = (then or create)(_groups(params, training))
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.steps)
            scheduler.load_state_dict(saved[1])
            optimizer.load_state_dict(saved[0])
        for index, param in enumerate(params):
            grads[index].copy_(_random(param.shape, training, generator))
            absent = (index == LATE and step < training.steps // 3) or (
                index == INTERMITTENT and step % 3 == 0
            )
            param.grad = None if absent and not training.steady else grads[index]
        if training.before_step is not None:
            training.before_step(optimizer, step)
        optimizer.step()
        if training.scheduled:
            scheduler.step()
        visited.append(
            torch.cat(
                [
                    torch.view_as_real(p.detach()).flatten()
                    if p.is_complex()
                    else p.detach().flatten()
                    for p in params
                ]
            )
        )
    return visited


def distance(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """Return the largest relative distance, in norm, between two trajectories."""
    pairs = zip(ours, theirs, strict=True)
    return max(float((a - b).double().norm() / b.double().norm()) for a, b in pairs)


def _random(shape: Sequence[int], training: Training, generator: torch.Generator) -> Tensor:
    double = torch.complex128 if training.dtype.is_complex else torch.float64
    return torch.randn(shape, generator=generator, dtype=double).to(training.dtype)


def _groups(params: list[Tensor], training: Training) -> list[dict[str, Any]]:
    return [
        {"params": params[:3]},
        {"params": params[3:], **(training.second_group or {})},
    ]


def _written(value: object) -> io.BytesIO:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    buffer.seek(0)
    return buffer
