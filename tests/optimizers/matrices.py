"""Matrices that take steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def moved(
    create: Callable[..., torch.optim.Optimizer],
    grads: Sequence[Tensor],
    start: Tensor | None = None,
    **hyperparameters: Any,
) -> Tensor:
    """Return how far a parameter moves along gradients, from zero if no start is given.

    It does so on the loop, where nothing is compiled, unless another engine is asked for.
    """
    if not {"foreach", "fused"} & hyperparameters.keys():
        hyperparameters["foreach"] = False
    start = torch.zeros_like(grads[0]) if start is None else start
    param = nn.Parameter(start.clone())
    optimizer = create([param], **hyperparameters)
    for grad in grads:
        param.grad = grad.clone()
        optimizer.step()
    return param.detach() - start


def double(rows: Sequence[Sequence[float]]) -> Tensor:
    """Return a matrix of float64."""
    return torch.tensor(rows, dtype=torch.float64)
