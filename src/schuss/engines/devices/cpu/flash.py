"""The codecs of FlashOptim, on vectors of LLVM, and the scales that they divide by."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numba
from numpy import float32

from schuss.engines.devices.cpu.vectors import Vectors
from schuss.storage.codecs.flash import LEAST

_LEAST = float32(LEAST)


@numba.njit(inline="always")
def at_least(largest: Any) -> Any:
    """Return what numbers of a block are divided by."""
    return _LEAST if largest < _LEAST else largest  # noqa: FURB136  # NaN stays


@numba.njit(inline="always")
def root_at_least(largest: Any) -> Any:
    """Return what roots of the numbers of a block are divided by."""
    root = float32(sqrt(largest))
    return _LEAST if root < _LEAST else root  # noqa: FURB136  # NaN stays


def decoded_int8(vectors: Vectors, codes: Any, scale: Any) -> list[Any]:
    """Decode a vector of `flash_int8`."""
    build = vectors.builder
    companded = build.fdiv(vectors.signed(codes), vectors.number(127.0))
    rest = build.fsub(vectors.number(2.0), vectors.absolute(companded))
    return [build.fmul(build.fdiv(companded, rest), vectors.spread(scale))]


def encoded_int8(vectors: Vectors, numbers: list[Any], by: Any) -> Any:
    """Encode a vector as `flash_int8`."""
    build = vectors.builder
    shares = build.fdiv(numbers[0], by)
    sum_ = build.fadd(vectors.number(1.0), vectors.absolute(shares))
    companded = build.fdiv(build.fmul(vectors.number(2.0), shares), sum_)
    return _nearest(vectors, companded, 127.0)


def decoded_uint8(vectors: Vectors, codes: Any, scale: Any) -> list[Any]:
    """Decode a vector of `flash_uint8`."""
    build = vectors.builder
    shares = build.fdiv(vectors.unsigned(codes), vectors.number(255.0))
    roots = build.fmul(shares, vectors.spread(scale))
    return [build.fmul(roots, roots)]


def encoded_uint8(vectors: Vectors, numbers: list[Any], by: Any) -> Any:
    """Encode a vector as `flash_uint8`."""
    roots = vectors.root(vectors.larger(numbers[0], vectors.number(0.0)))
    return _nearest(vectors, vectors.builder.fdiv(roots, by), 255.0)


def _nearest(vectors: Vectors, shares: Any, most: float) -> Any:
    """Return the nearest steps; the upper one of two that are equally near."""
    build = vectors.builder
    steps = vectors.product(vectors.or_zero(shares), vectors.number(most))
    steps = build.fadd(steps, vectors.number(0.5))
    found = vectors.truncated(steps)
    is_above = build.fcmp_ordered(">", vectors.as_numbers(found), steps)
    return vectors.as_bytes(build.sub(found, build.zext(is_above, found.type)))
