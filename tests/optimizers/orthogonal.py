"""Walks one matrix along given gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

EXACT: dict[str, Any] = {
    "ns_coefficients": "ns5",
    "ns_steps": 20,
    "precision": "float32",
    "weight_decay": 0.0,
}
"""Options with which orthogonal matrices are exact, in products of float64."""


def random(*shape: int, seed: int = 0) -> Tensor:
    """Return numbers in float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def polar(x: Tensor) -> Tensor:
    """Return the exact polar factor."""
    left, _, right = torch.linalg.svd(x, full_matrices=False)
    return left @ right


def after(cls: Any, grads: Iterable[Tensor], start: Tensor, **hyperparameters: Any) -> Tensor:
    """Return where a parameter is after steps with these gradients, on the loop."""
    param = nn.Parameter(start.clone())
    optimizer = cls([param], foreach=False, **hyperparameters)
    for grad in grads:
        param.grad = grad.clone()
        optimizer.step()
    return param.detach()
