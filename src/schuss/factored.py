"""Second moments of matrices from their rows and columns.

Shazeer and Stern, *Adafactor: Adaptive Learning Rates with Sublinear Memory Cost*, 2018, section 3.
<https://arxiv.org/abs/1804.04235>

Of all matrices with the same sums of rows and columns, the product of these over their total is the
one that knows nothing else. So a nonnegative matrix is kept as a column and a row.

The shapes, for a parameter of shape `(*batch, n, m)`:

| tensor | shape |
|---|---|
| the square of the gradient | `(*batch, n, m)` |
| `row`, a mean over the m columns for each row | `(*batch, n, 1)` |
| `col`, a mean over the n rows for each column | `(*batch, 1, m)` |
| the product of both | `(*batch, n, m)` |

The dimensions before the last two are a batch of matrices. A parameter with fewer than two
dimensions keeps its second moment whole, in its own shape.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from schuss.contract import State, wide_dtype


class Keys(NamedTuple):
    """The keys of the state under which a second moment is kept.

    Attributes:
        row: The key of the means of rows, of shape `(*batch, n, 1)`.
        col: The key of the means of columns, of shape `(*batch, 1, m)`.
        whole: The key of the whole moment of a vector or a number, in place of these two.
    """

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
    """Put a second moment of zero into the state, as rows and columns, or whole for a vector."""
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
    """Take a share of a square into a second moment, and return the factors of the moment.

    Args:
        state: The state, after `begin_moment`.
        keys: The keys of the moment in the state.
        square: The square of the gradient, of shape `(*batch, n, m)`.
        share: The weight of the square in the new mean, 1 - β.
        floor: The smallest mean that the rows are divided by.

    Returns:
        Tensors whose product is the moment: the rows over their mean, `(*batch, n, 1)`, and the
        columns, `(*batch, 1, m)`; or the moment itself, if it is kept whole.
    """
    if keys.whole in state:
        return (averaged(state[keys.whole], square, share),)
    row = averaged(state[keys.row], square.mean(dim=-1, keepdim=True), share)
    col = averaged(state[keys.col], square.mean(dim=-2, keepdim=True), share)
    return row / row.mean(dim=-2, keepdim=True).clamp(min=floor), col


def averaged(mean: Tensor, value: Tensor, share: float) -> Tensor:
    """Change a running mean in place to (1 - share) times itself plus share times a value."""
    return mean.mul_(1 - share).add_(value * share)


def over_root(x: Tensor, factors: tuple[Tensor, ...]) -> Tensor:
    """Return a tensor over the root of a product of factors.

    The roots are divided by one after the other, because the product may be too small for float32.
    """
    for factor in factors:
        x = x * factor.rsqrt()
    return x


def clipped(update: Tensor, bound: float) -> Tensor:
    """Return an update with a root of its mean square of at most `bound`."""
    return update / (rms(update) / bound).clamp(min=1)


def rms(x: Tensor) -> Tensor:
    """Return the root of the mean square of all numbers of a tensor, without dimensions."""
    return x.square().mean().sqrt()
