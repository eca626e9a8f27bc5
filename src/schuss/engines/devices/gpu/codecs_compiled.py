"""The companded and dynamic codecs and those of 4 bits, with the bits of `storage.codecs`.

Of each codec there is `decode_NAME`, which returns a block of numbers, and `encode_NAME`, which
writes one. Both take where the codes and the scales of a chunk begin, and `at`, `i` and `left` of
`coded_compiled`. A codec with a map takes, before its codes, where the numbers of the map begin.
"""

from __future__ import annotations

import triton
import triton.language as tl

from schuss.engines.devices.gpu.coded_compiled import (
    codes_of,
    halves_of,
    in_turns,
    largest_of,
    or_least,
    or_zero,
    product,
    put_codes,
    put_halves,
    put_scales,
    scales_of,
    to_encode,
)
from schuss.storage.codecs.codec import TINY
from schuss.storage.codecs.dynamic import EIGHT_NINTHS, Dynamic, Dynamic8, UDynamic8
from schuss.storage.codecs.four_bit import Int4

_TINY, _EIGHT_NINTHS = tl.constexpr(TINY), tl.constexpr(EIGHT_NINTHS)
_SHIFT = tl.constexpr(1.5 * 2.0**23)
"""Of a float32 near this number the last bit is worth 1, so that a sum with it rounds to the
nearest whole number, ties to even, and the low bits of the sum are that number."""


@triton.jit
def _nearest(x):
    """Return the nearest whole numbers, of which the lowest byte is right."""
    return (x + _SHIFT).to(tl.int32, bitcast=True)


@triton.jit
def _shares(rows, scales):
    """Return numbers as shares of their scale."""
    return or_zero(product(rows, tl.div_rn(1.0, or_least(scales, _TINY))))


@triton.jit
def _around(ZERO: tl.constexpr, found, shares):
    """Return codes from distances to that of 0, which has fewer codes below than above."""
    return tl.where(shares < 0, ZERO - tl.minimum(found, ZERO), ZERO + found)


# Companded.
@triton.jit
def _of_roots(codes, scales, MOST: tl.constexpr):
    """Return the numbers of roots, which codes are."""
    roots = codes.to(tl.float32)
    return product(roots * tl.abs(roots), scales * (1 / (MOST * MOST)))


@triton.jit
def _roots(sizes, scales, MOST: tl.constexpr):
    """Return the roots of numbers that are not negative, in steps of 1/MOST."""
    return or_zero(product(tl.sqrt_rn(sizes), tl.div_rn(MOST, tl.sqrt_rn(or_least(scales, _TINY)))))


@triton.jit
def decode_int8(codes, scales, at, i, left, ALIGNED: tl.constexpr):
    """Decode a block of `int8`."""
    found = codes_of(codes, at, i, left, tl.int8, 32, ALIGNED)
    scales = scales_of(scales, at, i, left, tl.bfloat16, 32)
    return tl.reshape(_of_roots(found, scales, 127.0), i.shape)


@triton.jit
def encode_int8(codes, scales, at, i, left, numbers, ALIGNED: tl.constexpr):
    """Encode a block as `int8`."""
    rows = to_encode(numbers, i, left, 32)
    scales = put_scales(scales, at, i, left, largest_of(rows), tl.bfloat16, 32)
    roots = _roots(tl.abs(rows), scales, 127.0)
    put_codes(codes, at, i, left, _nearest(tl.where(rows < 0, -roots, roots)), tl.int8, ALIGNED)


@triton.jit
def decode_uint8(codes, scales, at, i, left, ALIGNED: tl.constexpr):
    """Decode a block of `uint8`."""
    found = codes_of(codes, at, i, left, tl.uint8, 32, ALIGNED)
    scales = scales_of(scales, at, i, left, tl.bfloat16, 32)
    return tl.reshape(_of_roots(found, scales, 255.0), i.shape)


@triton.jit
def encode_uint8(codes, scales, at, i, left, numbers, ALIGNED: tl.constexpr):
    """Encode a block as `uint8`, in which 0 is for 0 alone."""
    rows = to_encode(numbers, i, left, 32)
    scales = put_scales(scales, at, i, left, largest_of(rows), tl.bfloat16, 32)
    roots = _roots(tl.where(rows > 0, rows, 0.0), scales, 255.0)
    roots = tl.where((rows > 0) & (roots < 1), 1.0, roots)
    put_codes(codes, at, i, left, _nearest(roots), tl.uint8, ALIGNED)


# Dynamic.
_STEPS = tl.constexpr(Dynamic.decades)


@triton.jit
def _looked_up(numbers, codes, scales, at, i, left, ALIGNED: tl.constexpr):
    """Decode a block by the numbers of a map."""
    found = codes_of(codes, at, i, left, tl.uint8, 256, ALIGNED).to(tl.int32)
    found = tl.load(numbers.to(tl.pointer_type(tl.float32)) + found)
    scales = scales_of(scales, at, i, left, tl.float32, 256)
    return tl.reshape(product(found, scales), i.shape)


@triton.jit
def _places(sizes, DECADES: tl.constexpr, LAST: tl.constexpr):
    """Return how far the codes of shares that are not negative are from that of 0."""
    factors, counts = tl.zeros_like(sizes), tl.zeros_like(sizes) + 0.5
    for decade in tl.static_range(_STEPS):
        reached = sizes >= DECADES.value[decade][0]
        factors = tl.where(reached, DECADES.value[decade][1], factors)
        counts = tl.where(reached, DECADES.value[decade][2], counts)
    steps = product(sizes, factors) + product(counts, _EIGHT_NINTHS)
    last = counts + counts - 1.0
    return tl.where(steps < last, steps, last).to(tl.int32) + (sizes >= LAST).to(tl.int32)


_DECADES = tl.constexpr(tuple(map(tuple, Dynamic8().steps)))
_LAST, _ZERO = tl.constexpr(Dynamic8().last), tl.constexpr(Dynamic8().zero)


@triton.jit
def decode_dynamic8(numbers, codes, scales, at, i, left, ALIGNED: tl.constexpr):
    """Decode a block of `dynamic8`."""
    return _looked_up(numbers, codes, scales, at, i, left, ALIGNED)


@triton.jit
def encode_dynamic8(codes, scales, at, i, left, numbers, ALIGNED: tl.constexpr):
    """Encode a block as `dynamic8`."""
    rows = to_encode(numbers, i, left, 256)
    shares = _shares(rows, put_scales(scales, at, i, left, largest_of(rows), tl.float32, 256))
    found = _around(_ZERO, _places(tl.abs(shares), _DECADES, _LAST), shares)
    put_codes(codes, at, i, left, found, tl.uint8, ALIGNED)


_UNSIGNED_DECADES = tl.constexpr(tuple(map(tuple, UDynamic8().steps)))
_UNSIGNED_LAST = tl.constexpr(UDynamic8().last)


@triton.jit
def decode_udynamic8(numbers, codes, scales, at, i, left, ALIGNED: tl.constexpr):
    """Decode a block of `udynamic8`."""
    return _looked_up(numbers, codes, scales, at, i, left, ALIGNED)


@triton.jit
def encode_udynamic8(codes, scales, at, i, left, numbers, ALIGNED: tl.constexpr):
    """Encode a block as `udynamic8`."""
    rows = to_encode(numbers, i, left, 256)
    shares = _shares(rows, put_scales(scales, at, i, left, largest_of(rows), tl.float32, 256))
    found = _places(shares, _UNSIGNED_DECADES, _UNSIGNED_LAST) - 1
    least = tl.where(rows > 0, 1, 0)
    put_codes(codes, at, i, left, tl.maximum(found, least), tl.uint8, ALIGNED)


# Of 4 bits.
_SIZES, _BEGINS = tl.constexpr(tuple(Int4().sizes)), tl.constexpr(tuple(Int4().begins))
_PLACES = tl.constexpr(len(Int4().sizes))
_ZERO_OF_16 = tl.constexpr(Int4().zero)


@triton.jit
def _int4(codes, scales):
    places = codes - _ZERO_OF_16
    sizes = tl.zeros(codes.shape, tl.float32)
    for place in tl.static_range(1, _PLACES):
        sizes = tl.where(tl.abs(places) >= place, _SIZES.value[place], sizes)
    return product(tl.where(places < 0, -sizes, sizes), scales)


@triton.jit
def decode_int4(codes, scales, at, i, left, ALIGNED: tl.constexpr):
    """Decode a block of `int4`."""
    first, second = halves_of(codes, at, i, left, 128, ALIGNED)
    scales = scales_of(scales, at, i, left, tl.float32, 128)
    return in_turns(_int4(first, scales), _int4(second, scales), i)


@triton.jit
def encode_int4(codes, scales, at, i, left, numbers, ALIGNED: tl.constexpr):
    """Encode a block as `int4`."""
    rows = to_encode(numbers, i, left, 128)
    shares = _shares(rows, put_scales(scales, at, i, left, largest_of(rows), tl.float32, 128))
    found = tl.zeros(shares.shape, tl.int32)
    for place in tl.static_range(1, _PLACES):
        found += (tl.abs(shares) >= _BEGINS.value[place - 1]).to(tl.int32)
    put_halves(codes, at, i, left, _around(_ZERO_OF_16, found, shares), ALIGNED)


@triton.jit
def _uint4(codes, scales):
    return product((codes.to(tl.float32) + 1.0) * (1 / 16), scales)


@triton.jit
def decode_uint4(codes, scales, at, i, left, ALIGNED: tl.constexpr):
    """Decode a block of `uint4`."""
    first, second = halves_of(codes, at, i, left, 128, ALIGNED)
    scales = scales_of(scales, at, i, left, tl.float32, 128)
    return in_turns(_uint4(first, scales), _uint4(second, scales), i)


@triton.jit
def encode_uint4(codes, scales, at, i, left, numbers, ALIGNED: tl.constexpr):
    """Encode a block as `uint4`."""
    rows = to_encode(numbers, i, left, 128)
    shares = _shares(rows, put_scales(scales, at, i, left, largest_of(rows), tl.float32, 128))
    steps = shares * 16.0 - 0.5
    steps = tl.where(steps > 0.0, tl.where(steps < 15.0, steps, 15.0), 0.0)
    put_halves(codes, at, i, left, steps.to(tl.int32), ALIGNED)
