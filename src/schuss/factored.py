"""Second moments of matrices from their rows and columns.

Shazeer and Stern, *Adafactor: Adaptive Learning Rates with Sublinear Memory Cost*, 2018, section 3.
<https://arxiv.org/abs/1804.04235>

Of all matrices with the same sums of rows and columns, the product of these over their total is the
one that knows nothing else. So a nonnegative matrix is kept as a column and a row.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from schuss.contract import State, wide_dtype


class Keys(NamedTuple):
    """Where the state has a second moment: its rows and columns, or that of a vector whole."""

    row: str
    col: str
    whole: str


def check_real(param: Tensor) -> None:
    """Check that a parameter is real, so that its rows and columns have a meaning.

    Raises:
        TypeError: It is complex.
    """
    if param.is_complex():
        raise TypeError(
            f"a parameter of shape {tuple(param.shape)} is {param.dtype}; statistics of rows and "
            "columns are of real parameters: keep torch.view_as_real(parameter) as one"
        )


def begin_moment(state: State, keys: Keys, param: Tensor) -> None:
    """Start a second moment at zero."""
    if param.dim() < 2:
        state[keys.whole] = torch.zeros_like(param)
        return
    # The share of a late square is smaller than what half precision can add to a mean.
    dtype = wide_dtype(param)
    state[keys.row] = param.new_zeros((*param.shape[:-1], 1), dtype=dtype)
    state[keys.col] = param.new_zeros((*param.shape[:-2], 1, param.shape[-1]), dtype=dtype)


def moment(
    state: State, keys: Keys, square: Tensor, share: float, floor: float = 0.0
) -> tuple[Tensor, ...]:
    """Take a share of a square into a second moment, and return factors of which it is the product.

    Args:
        state: The state, after `begin_moment`.
        keys: Where the moment is.
        square: What it is of, already squared.
        share: How much of it counts from here on.
        floor: The smallest mean that the rows are divided by.
    """
    if keys.whole in state:
        return (averaged(state[keys.whole], square, share),)
    row = averaged(state[keys.row], square.mean(dim=-1, keepdim=True), share)
    col = averaged(state[keys.col], square.mean(dim=-2, keepdim=True), share)
    return row / row.mean(dim=-2, keepdim=True).clamp(min=floor), col


def averaged(mean: Tensor, value: Tensor, share: float) -> Tensor:
    """Take a share of a value into a mean, in place."""
    return mean.mul_(1 - share).add_(value * share)


def over_root(x: Tensor, factors: tuple[Tensor, ...]) -> Tensor:
    """Return a tensor over the root of a product, which alone could be too small for a number."""
    for factor in factors:
        x = x * factor.rsqrt()
    return x


def clipped(update: Tensor, bound: float) -> Tensor:
    """Return an update with a root of its mean square of at most `bound`."""
    return update / (rms(update) / bound).clamp(min=1)


def rms(x: Tensor) -> Tensor:
    """Return the root of the mean square."""
    return x.square().mean().sqrt()
