"""The Newton-Schulz iteration on stacks of matrices, in its two forms.

All functions take stacks of shape (batch, rows, cols), or one matrix. A *tall* matrix has more rows
than columns. It is multiplied from the right in place of the left, so that the products of its rows
or columns always make the smaller square matrix, and no transposed copy is needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from schuss.matrices.coefficients import Step
from schuss.matrices.symmetric import symmetric_product

FIRST_GROWTH, GROWTH = 150.0, 40.0
"""The growth of rounding errors of the Gram matrix at which the Gram form computes it anew.

A step multiplies an eigenvalue near 0 by a², and with it the error that bfloat16 has made, 2⁻⁸ of
the largest eigenvalue. An eigenvalue that falls far below 0 by such an error grows without bound.
The largest one is at most 1 in the beginning, and about 1.5 later. Measured with 9 sets of
coefficients, 3 to 12 steps and 28 matrices: within these bounds the errors of the Gram form are up
to 12 times those of the ordinary one, and beyond them up to 10³⁵ times."""


def iterated(y: Tensor, coefficients: Sequence[Step], *, tall: bool) -> Tensor:
    """Return the matrices after the steps with these coefficients."""
    for a, b, c in coefficients:
        u = _quadratic(_gram(y, tall=tall), b, c)
        y = _plus_product(y, a, u, tall=tall)
    return y


def by_gram_matrix(y: Tensor, coefficients: Sequence[Step], *, tall: bool) -> Tensor:
    """Return the same, computed on the Gram matrix."""
    for *first, last in runs(coefficients):
        gram, q = _gram(y, tall=tall), None
        for a, b, c in first:
            u = _quadratic(gram, b, c)
            q = _shifted(u, a) if q is None else symmetric_product(u, q, q, a)
            # P G P without forming P, whose diagonal would be rounded.
            half = symmetric_product(u, gram, gram, a)
            gram = symmetric_product(half, u, half, a)
        a, b, c = last
        u = _quadratic(gram, b, c)
        q = _shifted(u, a) if q is None else symmetric_product(u, q, q, a)
        y = y @ q if tall else q @ y
    return y


ROOM = 0.8
"""The factor of rows that have been scaled. The first polynomial of the set `aol` has a root at
0.884, and gives singular values above it the wrong sign. A matrix of rank 1 and one with orthogonal
rows have a singular value of 1 without the factor, so that a step would lead uphill."""


def row_scaled(y: Tensor, *, tall: bool) -> Tensor:
    """Return matrices without singular values above `ROOM`, by a bound for almost orthogonal rows.

    Each row is divided by the root of the sum of its absolute products with all rows; of a tall
    matrix, each column. A row of zeros remains one.

    Prach and Lampert, *Almost-Orthogonal Layers for Efficient General-Purpose Lipschitz Networks*,
    2022. <https://arxiv.org/abs/2208.03160>
    """
    sums = _gram(y, tall=tall).abs().sum(-1)
    factors = torch.where(sums > 0, ROOM * sums.rsqrt(), 0.0)
    return y * factors.unsqueeze(-2 if tall else -1)


def flops_of_forms(rows: int, cols: int, coefficients: Sequence[Step]) -> tuple[int, int]:
    """Return the operations for one matrix: in the ordinary form, and in the Gram form."""
    m, n = sorted((rows, cols))
    squares = sum(2 * m**3 for *_, c in coefficients if c)
    steps = len(coefficients)
    ordinary = 4 * m * m * n * steps + squares
    anew = len(runs(coefficients))
    # Of P: two products for G in all steps of a run but the last, one for Q in all but the first.
    others = 3 * (steps - anew)
    return ordinary, 4 * m * m * n * anew + squares + 2 * m**3 * others


def runs(coefficients: Sequence[Step]) -> list[list[Step]]:
    """Divide the steps into runs, after each of which the Gram form computes everything anew.

    Example:
        >>> [len(run) for run in runs([(3.4445, -4.775, 2.0315)] * 5)]
        [3, 2]
    """
    found: list[list[Step]] = []
    growth = 0.0
    for step in coefficients:
        if not found or growth > (FIRST_GROWTH if len(found) == 1 else GROWTH):
            found.append([])
            growth = 1.0
        found[-1].append(step)
        growth *= step[0] ** 2
    return found


def _gram(y: Tensor, *, tall: bool) -> Tensor:
    """Return the products of all pairs of rows; of columns, if the matrices are tall."""
    return symmetric_product(y.mT, y) if tall else symmetric_product(y, y.mT)


def _quadratic(gram: Tensor, b: float, c: float) -> Tensor:
    return symmetric_product(gram, gram, gram, b, c) if c else gram * b


def _plus_product(y: Tensor, a: float, u: Tensor, *, tall: bool) -> Tensor:
    """Return `a` times the matrices plus their products with `u`, rounded once."""
    add = torch.addmm if y.dim() == 2 else torch.baddbmm
    return add(y, y, u, beta=a) if tall else add(y, u, y, beta=a)


def _shifted(u: Tensor, a: float) -> Tensor:
    """Return the sum of a matrix and `a` times the identity."""
    return u + a * torch.eye(u.shape[-1], dtype=u.dtype, device=u.device)
