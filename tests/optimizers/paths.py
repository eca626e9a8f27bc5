"""Walks one parameter along given gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn


def walk(
    create: Callable[..., torch.optim.Optimizer],
    grads: Sequence[Sequence[float]],
    start: Sequence[float] = (0.0,),
    **hyperparameters: Any,
) -> list[list[float]]:
    """Return where a float64 parameter is after each of the gradients."""
    param = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    optimizer = create([param], **hyperparameters)
    visited = []
    for grad in grads:
        param.grad = torch.tensor(grad, dtype=torch.float64)
        optimizer.step()
        visited.append(param.tolist())
    return visited


def ends(*args: Any, **kwargs: Any) -> list[float]:
    """Return where `walk` ends."""
    return walk(*args, **kwargs)[-1]


GRADS = [[0.3, -2.0, 1.0], [-0.1, 0.5, 4.0], [1.5, 0.25, -3.0], [0.7, -0.7, 0.1]] * 3
"""Twelve gradients of three coordinates without a pattern."""
START = [1.0, -2.0, 0.5]
