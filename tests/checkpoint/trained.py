"""An optimizer that has taken some steps, and everything that loading could change of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import schuss
from tests.algorithms import fitting

SHAPES = ((3, 2), (4,))


def trained(
    cls: Any = schuss.Adam,
    steps: int = 3,
    dtype: torch.dtype = torch.float32,
    shapes: Any = SHAPES,
    **options: Any,
) -> Any:
    """Return an optimizer of parameters of ones, after steps with gradients of 1/2."""
    params = [nn.Parameter(fitting(cls, torch.ones(shape, dtype=dtype))) for shape in shapes]
    optimizer = cls(params, **options)
    train(optimizer, steps)
    return optimizer


def train(optimizer: Any, steps: int = 1) -> list[Tensor]:
    """Take steps with gradients of 1/2, and return where the parameters are."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    for _ in range(steps):
        for param in params:
            param.grad = torch.full_like(param, 0.5)
        optimizer.step()
    return [param.detach().clone() for param in params]


def snapshot(optimizer: Any) -> Any:
    """Return all numbers of an optimizer: parameters, state and groups."""
    return (
        [_numbers(param) for group in optimizer.param_groups for param in group["params"]],
        [_numbers(state) for state in optimizer.state.values()],
        [
            {key: _numbers(value) for key, value in group.items() if key != "params"}
            for group in optimizer.param_groups
        ],
    )


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(each) for key, each in value.items()}
    if isinstance(value, Tensor):
        shown = value.detach()
        return shown.dtype, tuple(shown.shape), shown.numpy().tobytes()
    return type(value), repr(value)
