"""The codecs of 8-bit floating-point numbers, with the bits of `storage.codecs.floats`.

The bits of a float32 become those of a number with fewer digits by a sum that carries, which rounds
to the nearest, ties to even. The smallest numbers have no leading digit of their own: a sum with a
number whose last place is worth one step of them rounds these. Not every GPU has these formats.
DIGITS are those behind the point, REBIASED is how much larger the exponents of float32 are where
they are kept, and LARGEST is the largest number.
"""

from __future__ import annotations

import triton
import triton.language as tl

from schuss.engines.devices.gpu.coded_compiled import (
    codes_of,
    largest_of,
    or_least,
    or_zero,
    product,
    put_codes,
    put_scales,
    scales_of,
    to_encode,
)
from schuss.storage.codecs.codec import TINY

_TINY = tl.constexpr(TINY)


@triton.jit
def _power_of_2(EXPONENT: tl.constexpr):
    """Return a power of 2."""
    return tl.full([], (EXPONENT + 127) << 23, tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def _decoded(
    codes, scales, at, i, left,
    DIGITS: tl.constexpr, REBIASED: tl.constexpr, LARGEST: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    bits = codes_of(codes, at, i, left, tl.uint8, 256, ALIGNED).to(tl.int32)
    size = bits & 0x7F
    small = size.to(tl.float32) * _power_of_2(REBIASED - 126 - DIGITS)
    normal = ((size << (23 - DIGITS)) + (REBIASED << 23)).to(tl.float32, bitcast=True)
    found = tl.where(size < (1 << DIGITS), small, normal)
    shares = tl.where(bits > 0x7F, -found, found) * (1.0 / LARGEST)
    return tl.reshape(product(shares, scales_of(scales, at, i, left, tl.float32, 256)), i.shape)


@triton.jit
def _bits_of(sizes, DIGITS: tl.constexpr, REBIASED: tl.constexpr):
    """Return the codes of numbers that are not negative."""
    shift: tl.constexpr = 23 - DIGITS
    bits = sizes.to(tl.int32, bitcast=True)
    carried = bits + ((1 << (shift - 1)) - 1) + ((bits >> shift) & 1)
    normal = (carried >> shift) - (REBIASED << DIGITS)
    by = _power_of_2(REBIASED - 103 - DIGITS)
    small = (sizes + by).to(tl.int32, bitcast=True) - by.to(tl.int32, bitcast=True)
    return tl.where(sizes < _power_of_2(REBIASED - 126), small, normal)


@triton.jit
def _encoded(
    scales, at, i, left, rows,
    DIGITS: tl.constexpr, REBIASED: tl.constexpr, LARGEST: tl.constexpr,
):  # fmt: skip
    scales = put_scales(scales, at, i, left, largest_of(rows), tl.float32, 256)
    shares = product(rows, tl.div_rn(1.0, or_least(scales, _TINY)))
    sign = tl.where(shares == shares, (rows.to(tl.int32, bitcast=True) >> 24) & 0x80, 0)
    return _bits_of(product(tl.abs(or_zero(shares)), LARGEST), DIGITS, REBIASED) | sign


@triton.jit
def decode_fp8_e4m3(codes, scales, at, i, left, ALIGNED: tl.constexpr):
    """Decode a block of `fp8_e4m3`."""
    return _decoded(codes, scales, at, i, left, 3, 120, 448.0, ALIGNED)


@triton.jit
def encode_fp8_e4m3(codes, scales, at, i, left, numbers, ALIGNED: tl.constexpr):
    """Encode a block as `fp8_e4m3`."""
    rows = to_encode(numbers, i, left, 256)
    found = _encoded(scales, at, i, left, rows, 3, 120, 448.0)
    put_codes(codes, at, i, left, found, tl.uint8, ALIGNED)


@triton.jit
def decode_fp8_e5m2(codes, scales, at, i, left, ALIGNED: tl.constexpr):
    """Decode a block of `fp8_e5m2`."""
    return _decoded(codes, scales, at, i, left, 2, 112, 57344.0, ALIGNED)


@triton.jit
def encode_fp8_e5m2(codes, scales, at, i, left, numbers, ALIGNED: tl.constexpr):
    """Encode a block as `fp8_e5m2`, in which a number above 0 is not 0."""
    rows = to_encode(numbers, i, left, 256)
    found = _encoded(scales, at, i, left, rows, 2, 112, 57344.0)
    found = tl.where((rows > 0) & (found == 0), 1, found)
    put_codes(codes, at, i, left, found, tl.uint8, ALIGNED)
