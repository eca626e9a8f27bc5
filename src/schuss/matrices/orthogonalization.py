r"""The orthogonal matrix that is nearest to a matrix, by products of matrices alone.

Of a matrix with the singular value decomposition $X = U \Sigma V^\top$ it is the *polar factor*
$U V^\top$: all singular values become 1. The Newton-Schulz iteration needs no decomposition, and so
is fast in 16 bits; `schuss.matrices.coefficients` has its formula.

A matrix of m rows and n columns, with m at most n, costs $4 m^2 n + 2 m^3$ operations a step. The
*Gram form* does most of the work on the m by m matrix $G = X X^\top$. In each step it computes
$Q \leftarrow P Q$ and $G \leftarrow P G P$, where $P = a I + b\, G + c\, G^2$. Only in the end it
computes $X \leftarrow Q X$. Rounding errors of $G$ grow from step to step, so after
two or three steps $X$ and $G$ are computed anew. The result is then as near to the polar factor as
that of the ordinary form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from schuss.domains import Domain, at_least, one_of, or_none, whole
from schuss.matrices.coefficients import COEFFICIENTS, Step, coefficient_set
from schuss.matrices.iteration import by_gram_matrix, flops_of_forms, iterated, row_scaled
from schuss.matrices.normalization import normalized

PRECISION: Final[Domain] = one_of("bfloat16", "float32", "medium")
FORM: Final[Domain] = or_none(one_of("ordinary", "gram"))
STEPS: Final[Domain] = or_none(whole(1))
_EPS: Final[Domain] = at_least(0)

CHUNK = 2**19
"""The numbers that are computed with at a time on a CPU, so that caches hold them: 1 MB of 16 bits.
Measured with stacks of matrices of 16 to 512 rows."""
ALONE = {16: 256**2, 32: 128**2, 64: 128**2}
"""The numbers of a matrix from which on a CPU computes faster with one at a time, by the bits of a
number. The product of a stack of one takes up to twice as long as that of a matrix, in bfloat16."""


def orthogonalized(
    x: Tensor,
    *,
    coefficients: str | Sequence[float] | Sequence[Sequence[float]] = "jordan",
    steps: int | None = None,
    precision: str = "bfloat16",
    form: str | None = None,
    eps: float = 0.0,
) -> Tensor:
    """Return about the polar factor of each matrix in a real tensor of shape (..., rows, cols).

    It does not depend on the size of the matrix, however small its numbers are, and is zero for
    zeros. `docs/matrices.md` has the errors of the sets of coefficients.

    Args:
        x: The matrices.
        coefficients: A name in `schuss.matrices.SETS`, or three numbers for all steps or for each.
        steps: The number of steps; None for the number that belongs to the set.
        precision: Of the products: "bfloat16"; "float32", which is float64 for matrices in float64;
            or "medium", in which a device may round float32 to bfloat16 to multiply.
        form: "ordinary", "gram", or None for the Gram form where it has fewer operations and the
            coefficients are safe in it.
        eps: The least norm that a matrix is divided by; nothing to a set that scales rows.

    Raises:
        ValueError: An argument lies outside of its domain, or the form is not safe in 16 bits.
        TypeError: An argument or the dtype of `x` is of a wrong kind.

    Example:
        >>> import torch
        >>> from schuss.matrices import orthogonalized
        >>> x = torch.tensor([[3e-30, 0.0], [0.0, -2e-30]])
        >>> orthogonalized(x, coefficients="ns5", precision="float32")
        tensor([[ 1., 0.], [ 0., -1.]])
    """
    return _orthogonalized(x, coefficients, steps, precision, form, eps)


def _orthogonalized(x: Tensor, coefficients: Any, *others: Any) -> Tensor:
    """Do what `orthogonalized` does, or leave it to a class that stands in for tensors."""
    if has_torch_function_unary(x):
        names = ("coefficients", "steps", "precision", "form", "eps")
        given = dict(zip(names, (coefficients, *others), strict=True))
        if given["precision"] != "bfloat16" or x.dtype is not torch.float32:
            return handle_torch_function(orthogonalized, (x,), x, **given)
        # A program before it may write bfloat16 itself, and one after it read that.
        y = x.to(torch.bfloat16)
        return handle_torch_function(orthogonalized, (y,), y, **given).to(x.dtype)
    if x.dim() < 2:
        raise ValueError(f"a tensor of shape {tuple(x.shape)} is no matrix; give it two dimensions")
    if not x.is_floating_point():
        raise TypeError(
            f"orthogonalized is of real matrices, and this one is {x.dtype}; convert it first"
        )
    plain = _hashable((coefficients, *others))
    if torch.compiler.is_compiling():
        return _way(*plain).whole(x)
    way = _known_way(*plain)
    if x.requires_grad and torch.is_grad_enabled():
        return way.whole(x)
    return _apply(x, way)


@dataclass(frozen=True)
class Way:
    """The way in which matrices are orthogonalized: the arguments of `orthogonalized`, checked.

    Attributes:
        coefficients: Those of each step.
        scales_rows: Scale the rows of each matrix first.
        precision: The precision of the products.
        form: The form, or None for the one with fewer operations.
        eps: The least norm that a matrix is divided by.
        is_safe: The coefficients are safe in the Gram form in 16 bits.
    """

    coefficients: tuple[Step, ...]
    scales_rows: bool
    precision: str
    form: str | None
    eps: float
    is_safe: bool

    def by_gram(self, rows: int, cols: int) -> bool:
        """Tell whether matrices of this shape are computed in the Gram form."""
        if self.form is None:
            if not (self.is_safe or self.precision == "float32"):
                return False
            ordinary, gram = flops_of_forms(rows, cols, self.coefficients)
            return gram < ordinary
        return self.form == "gram"

    def dtype(self, given: torch.dtype) -> torch.dtype:
        """Return the dtype in which matrices of a dtype are multiplied."""
        if self.precision == "bfloat16":
            return torch.bfloat16
        return given if given is torch.float64 and self.precision == "float32" else torch.float32

    def whole(self, x: Tensor) -> Tensor:
        """Return the polar factors of a tensor of shape (..., rows, cols), all at once."""
        return self._multiplied(x).reshape(x.shape).to(x.dtype)

    def _multiplied(self, x: Tensor) -> Tensor:
        """Return the same as a stack, or as one matrix, in the dtype of the products."""
        if not x.numel():
            return torch.zeros_like(x)
        stack = x.reshape(-1, *x.shape[-2:])
        y = normalized(stack, self.dtype(x.dtype), self.eps)
        y = y[0] if len(y) == 1 and self._is_alone(x) else y
        tall = x.shape[-2] > x.shape[-1]
        with _multiplying(self.precision):
            if self.scales_rows:
                y = row_scaled(y, tall=tall)
            run = by_gram_matrix if self.by_gram(*x.shape[-2:]) else iterated
            return run(y, self.coefficients, tall=tall)

    def in_chunks(self, x: Tensor) -> Tensor:
        """Return the same, computed with so many matrices at a time as is fastest."""
        at_once = self._at_once(x)
        count = math.prod(x.shape[:-2])
        if count <= at_once or not x.numel():
            return self.whole(x)
        stack = x.reshape(-1, *x.shape[-2:])
        found = torch.empty_like(stack, memory_format=torch.contiguous_format)
        for begin in range(0, count, at_once):
            found[begin : begin + at_once] = self._multiplied(stack[begin : begin + at_once])
        return found.reshape(x.shape)

    def _at_once(self, x: Tensor) -> int:
        size = x.shape[-2] * x.shape[-1]
        if x.device.type != "cpu" or not size:
            return x.numel()
        return 1 if self._is_alone(x) else max(1, CHUNK // size)

    def _is_alone(self, x: Tensor) -> bool:
        """Tell whether matrices are so large that each is multiplied alone."""
        return x.shape[-2] * x.shape[-1] >= ALONE[torch.finfo(self.dtype(x.dtype)).bits]


def _hashable(value: Any) -> Any:
    """Return an argument as Python's numbers, whatever holds it."""
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.item()
    return tuple(map(_hashable, value)) if isinstance(value, (list, tuple)) else value


def _way(coefficients: Any, steps: int | None, precision: str, form: str | None, eps: float) -> Way:
    """Check the arguments of `orthogonalized`, and return the way that they describe."""
    COEFFICIENTS.check("coefficients", coefficients)
    STEPS.check("steps", steps)
    PRECISION.check("precision", precision)
    FORM.check("form", form)
    _EPS.check("eps", eps)
    chosen = coefficient_set(coefficients)
    if form == "gram" and precision != "float32" and not chosen.is_safe:
        raise ValueError(
            f"the Gram form with precision={precision!r} needs coefficients that bear rounding, "
            f"and coefficients={coefficients!r} do not: take form='ordinary', "
            "precision='float32', or a named set such as 'polar_express'"
        )
    taken = chosen.taken(STEPS.plain(steps))
    return Way(taken, chosen.scales_rows, precision, form, float(eps), chosen.is_safe)


_known_way: Final = lru_cache(maxsize=256)(_way)


@contextmanager
def _multiplying(precision: str) -> Iterator[None]:
    """Let float32 matrices be multiplied in bfloat16 for `"medium"`, as far as a device can."""
    if precision != "medium":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class _Orthogonalized(torch.autograd.Function):
    """`orthogonalized` as one operation, so that under `torch.vmap` it takes a stack as a stack.

    Without it, `torch.vmap` would divide each product into several operations.
    """

    @staticmethod
    def forward(x: Tensor, way: Way) -> Tensor:
        return way.in_chunks(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int, None], x: Tensor, way: Way) -> tuple[Tensor, int]:
        return _apply(x.movedim(in_dims[0], 0), way), 0


_apply: Final[Callable[[Tensor, Way], Tensor]] = _Orthogonalized.apply


orthogonalized.takes_stacks = True  # type: ignore[attr-defined]  # so that engines need no vmap
