"""Matrices of Frobenius norm 1, however large or small their numbers are."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

LEAST, LARGEST = 1e-10, 1e10
"""Norms between which the squares that count are normal numbers of float32, and so are sums."""


def normalized(x: Tensor, dtype: torch.dtype, eps: float) -> Tensor:
    """Return matrices divided by their Frobenius norms.

    They are first divided by a power of two, which rounds nothing, so that no square is too small
    or too large. The norm is taken of the rounded numbers.

    Args:
        x: The matrices, of shape (batch, rows, cols).
        dtype: The dtype of the result.
        eps: The least norm that a matrix is divided by.
    """
    y = x.to(dtype) if x.dtype is not torch.float64 and x.dtype is not torch.float16 else x
    if y.dtype is dtype and (norm := _norm_within_range(y)) is not None:
        return _quotient(y, norm.clamp(min=eps))
    power = _power_of_two(y)
    y = (y / power).to(dtype)
    norm = _norm(y).clamp(min=1e-17)  # which only that of zeros is less than
    if eps:
        norm = torch.maximum(norm, eps / power)
    return _quotient(y, norm)


def _quotient(y: Tensor, norm: Tensor) -> Tensor:
    found: Tensor = y / norm.to(y.dtype)
    return found


def _norm(y: Tensor) -> Tensor:
    """Return the Frobenius norm of each matrix, in float32 at least.

    A sum over all numbers is the sum of the sums of rows, so that it does not depend on the other
    matrices.
    """
    dtype = torch.promote_types(y.dtype, torch.float32)
    rows = torch.linalg.vector_norm(y, dim=-1, keepdim=True, dtype=dtype)
    norm: Tensor = torch.linalg.vector_norm(rows, dim=-2, keepdim=True)
    return norm


def _norm_within_range(y: Tensor) -> Tensor | None:
    """Return the norm of each matrix if it is seen that no square has been too small or too large.

    On a CPU a look at a number takes less time than to divide all of them by a power of two. Where
    a look would be to wait for a device, or cannot be had, there is none.
    """
    if y.device.type != "cpu" or type(y) is not Tensor or y.requires_grad:
        return None
    if torch.compiler.is_compiling():
        return None
    norm = _norm(y)
    least, largest = torch.aminmax(norm)
    return norm if least.item() > LEAST and largest.item() < LARGEST else None


def _power_of_two(y: Tensor) -> Tensor:
    """Return the power of two up to the largest magnitude of each matrix, by its exponent bits.

    It is at least the smallest normal number, also of zeros.
    """
    largest = y.detach().abs().amax((-2, -1), keepdim=True)
    whole_numbers, exponent = _EXPONENTS[y.dtype]
    power = largest.view(whole_numbers).bitwise_and(exponent).view(y.dtype)
    return power.clamp(min=torch.finfo(y.dtype).tiny)


_EXPONENTS: Final = {
    torch.float64: (torch.int64, 0x7FF0_0000_0000_0000),
    torch.float32: (torch.int32, 0x7F80_0000),
    torch.bfloat16: (torch.int16, 0x7F80),
    torch.float16: (torch.int16, 0x7C00),
}
"""Whole numbers of the same size, and which of their bits are the exponent of a number."""
