"""The codecs of 8-bit floating-point numbers, on vectors of LLVM.

The bits of a float32 become those of a number with fewer digits by a sum that carries, which rounds
to the nearest, ties to even. The smallest numbers have no leading digit of their own: a sum with a
number whose last place is worth one step of them rounds these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schuss.engines.devices.cpu.vectors import Vectors
from schuss.storage.codecs.floats import E5M2, Float8

_DIGITS, _BIAS = 23, 127
"""Of float32: how many binary digits it has, and what is added to its exponent."""


def decoded_from(codec: Float8) -> Callable[[Vectors, Any, Any], list[Any]]:
    """Return a function that decodes a vector of bytes."""

    def decoded(vectors: Vectors, codes: Any, scale: Any) -> list[Any]:
        build, whole = vectors.builder, vectors.whole
        bits = vectors.widened(codes)
        size = build.and_(bits, whole(0x7F))
        shifted = build.shl(size, whole(_DIGITS - codec.digits))
        rebiased = build.add(shifted, whole((_BIAS - codec.bias) << _DIGITS))
        least = vectors.number(2.0 ** (1 - codec.bias - codec.digits))
        is_small = build.icmp_signed("<", size, whole(1 << codec.digits))
        small = build.fmul(vectors.as_numbers(size), least)
        found = build.select(is_small, small, vectors.from_bits(rebiased))
        sign = build.shl(build.and_(bits, whole(0x80)), whole(24))
        signed = vectors.from_bits(build.or_(vectors.bits(found), sign))
        shares = build.fmul(signed, vectors.number(1.0 / codec.largest))
        return [build.fmul(shares, vectors.spread(scale))]

    return decoded


def encoded_as(codec: Float8) -> Callable[[Vectors, list[Any], Any], Any]:
    """Return a function that encodes a vector of numbers."""

    def encoded(vectors: Vectors, numbers: list[Any], factor: Any) -> Any:
        build, whole = vectors.builder, vectors.whole
        shares = vectors.or_zero(build.fmul(numbers[0], factor))
        shares = build.fmul(shares, vectors.number(codec.largest))
        size = vectors.absolute(shares)
        codes = _rounded(vectors, codec, size)
        sign = build.lshr(vectors.bits(shares), whole(24))
        codes = build.or_(codes, build.and_(sign, whole(0x80)))
        if isinstance(codec, E5M2):
            is_positive = build.fcmp_ordered(">", numbers[0], vectors.number(0.0))
            is_none = build.icmp_signed("==", codes, whole(0))
            codes = build.select(build.and_(is_positive, is_none), whole(1), codes)
        return vectors.as_bytes(codes)

    return encoded


def _rounded(vectors: Vectors, codec: Float8, size: Any) -> Any:
    """Return the codes of numbers that are not negative."""
    build, whole = vectors.builder, vectors.whole
    shift = _DIGITS - codec.digits
    bits = vectors.bits(size)
    is_odd = build.and_(build.lshr(bits, whole(shift)), whole(1))
    carried = build.add(build.add(bits, whole((1 << (shift - 1)) - 1)), is_odd)
    normal = build.lshr(carried, whole(shift))
    normal = build.sub(normal, whole((_BIAS - codec.bias) << codec.digits))
    by = vectors.number(2.0 ** (_DIGITS + 1 - codec.bias - codec.digits))
    small = build.sub(vectors.bits(build.fadd(size, by)), vectors.bits(by))
    is_small = build.fcmp_ordered("<", size, vectors.number(2.0 ** (1 - codec.bias)))
    return build.select(is_small, small, normal)
