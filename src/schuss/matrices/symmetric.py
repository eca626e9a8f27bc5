"""Products of two matrices that are known to be symmetric.

The upper half of such a product is computed, by blocks of rows, and the lower half is copied from
it. It takes 0.6 to 0.8 of the time of the whole product.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_variadic

BLOCK: Final = {16: 256, 32: 160, 64: 160}
"""The rows of a block, by the bits of a number. Smaller blocks leave less of the lower half to be
computed, and multiply more slowly. Measured with 256 to 2,048 rows."""


def symmetric_product(
    first: Tensor, second: Tensor, x: Tensor | None = None, a: float = 0.0, b: float = 1.0
) -> Tensor:
    """Return `b` times the product of two matrices plus `a` times a third, rounded once.

    Both the product and the third must be symmetric but for rounding. Stacks of matrices may be
    given in place of matrices. The half is computed of a large matrix on a CPU, and otherwise all.
    """
    if not _is_halved(first):
        return _sum(first, second, x, a, b)
    found = first.new_empty(first.shape[0], second.shape[1])
    for begin, end in blocks(first.shape[0], first.dtype):
        here = None if x is None else x[begin:end, begin:]
        out = found[begin:end, begin:]
        _sum(first[begin:end], second[:, begin:], here, a, b, out=out)
        found[end:, begin:end] = out[:, end - begin :].mT
    return found


def mean_of_squares(mean: Tensor, x: Tensor, kept: float | Tensor, share: float | Tensor) -> Tensor:
    """Return `kept` times symmetric matrices plus `share` times the products of others with theirs.

    Args:
        mean: Symmetric matrices, of shape (*batch, n, n).
        x: Matrices of n rows, each of which is multiplied with its own transpose.
        kept: The weight of the first.
        share: The weight of the products.
    """
    if has_torch_function_variadic(mean, x):
        found: Tensor = handle_torch_function(mean_of_squares, (mean, x), mean, x, kept, share)
        return found
    if isinstance(kept, Tensor) or isinstance(share, Tensor):
        return mean * kept + x @ x.mT * share
    means, stack = (y.reshape(-1, *y.shape[-2:]) for y in (mean, x))
    if len(stack) > 1 and not _is_halved(stack[0]):
        return torch.baddbmm(means, stack, stack.mT, beta=kept, alpha=share).reshape(mean.shape)
    each = [symmetric_product(y, y.mT, m, kept, share) for m, y in zip(means, stack, strict=True)]
    return (torch.stack(each) if len(each) > 1 else each[0]).reshape(mean.shape)


mean_of_squares.takes_stacks = True  # type: ignore[attr-defined]  # so that engines need no vmap


def blocks(rows: int, dtype: torch.dtype) -> list[tuple[int, int]]:
    """Return where the blocks of a product of so many rows begin and end.

    Example:
        >>> blocks(500, torch.bfloat16), blocks(200, torch.float32)
        ([(0, 250), (250, 500)], [(0, 200)])
    """
    count = max(1, round(rows / BLOCK[torch.finfo(dtype).bits]))
    return list(pairwise(rows * position // count for position in range(count + 1)))


def _is_halved(first: Tensor) -> bool:
    """Tell whether a half is computed: of one large matrix on a CPU, outside of autograd."""
    if first.dim() != 2 or first.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    if first.requires_grad and torch.is_grad_enabled():  # which cannot follow what is copied
        return False
    return len(blocks(first.shape[0], first.dtype)) > 1


def _sum(
    first: Tensor,
    second: Tensor,
    x: Tensor | None,
    a: float,
    b: float,
    out: Tensor | None = None,
) -> Tensor:
    """Return the sum, by one call of a function of torch."""
    if x is None:
        return torch.matmul(first, second, out=out)
    add = torch.addmm if first.dim() == 2 else torch.baddbmm
    return add(x, first, second, beta=a, alpha=b, out=out)
