"""Codes and scales in memory: how functions of Triton read and write those of a block.

A block of a kernel has a multiple of the numbers that share a scale. It is seen as rows of those
that share one, beside which the scales are a column. `at` is the first number of a block in its
chunk, `i` counts its numbers, and `left` is how many there are from the first one on.
"""

from __future__ import annotations

import triton
import triton.language as tl

from schuss.engines.devices.gpu.functions_compiled import pointer


@triton.jit
def in_rows(x, BLOCK: tl.constexpr):
    """Return a block as rows."""
    return tl.reshape(x, [x.shape[0] // BLOCK, BLOCK])


@triton.jit
def codes_of(base, at, i, left, KIND: tl.constexpr, BLOCK: tl.constexpr, ALIGNED: tl.constexpr):
    """Read a code for each number, in rows."""
    codes = tl.load(pointer(base + at, KIND, ALIGNED) + i, mask=i < left, other=0)
    return in_rows(codes, BLOCK)


@triton.jit
def put_codes(base, at, i, left, codes, KIND: tl.constexpr, ALIGNED: tl.constexpr):
    """Write a code for each number, from rows of whole numbers."""
    codes = tl.reshape(codes, i.shape).to(KIND)
    tl.store(pointer(base + at, KIND, ALIGNED) + i, codes, mask=i < left)


@triton.jit
def _pairs(base, at, i, left, ALIGNED: tl.constexpr):
    """Return pointers to the bytes of two codes, and which of them are there."""
    j = tl.arange(0, i.shape[0] // 2)
    pairs = (left + 1) // 2
    if ALIGNED:  # of 8 numbers in a row all are there, or none
        pairs = tl.multiple_of(pairs, 4)
    return pointer(base + at // 2, tl.uint8, ALIGNED) + j, j < pairs


@triton.jit
def halves_of(base, at, i, left, BLOCK: tl.constexpr, ALIGNED: tl.constexpr):
    """Read bytes of two codes, in rows, and return the first codes and the second ones."""
    where, present = _pairs(base, at, i, left, ALIGNED)
    whole = in_rows(tl.load(where, mask=present, other=0), BLOCK // 2).to(tl.int32)
    return whole >> 4, whole & 15


@triton.jit
def put_halves(base, at, i, left, codes, ALIGNED: tl.constexpr):
    """Write bytes of two codes, from rows of one code for each number."""
    where, present = _pairs(base, at, i, left, ALIGNED)
    upper, lower = tl.split(tl.reshape(codes, [i.shape[0] // 2, 2]))
    tl.store(where, ((upper << 4) | lower).to(tl.uint8), mask=present)


@triton.jit
def in_turns(first, second, i):
    """Return a block of the numbers of two others in turns."""
    return tl.reshape(tl.join(first, second), i.shape)


@triton.jit
def _one_each(base, at, i, KIND: tl.constexpr, BLOCK: tl.constexpr):
    """Return pointers to the scales of a block, and the first number of each."""
    s = tl.arange(0, i.shape[0] // BLOCK)
    return base.to(tl.pointer_type(KIND)) + at // BLOCK + s, s * BLOCK


@triton.jit
def scales_of(base, at, i, left, KIND: tl.constexpr, BLOCK: tl.constexpr):
    """Read scales, as a column."""
    where, first = _one_each(base, at, i, KIND, BLOCK)
    return tl.load(where, mask=first < left, other=0.0).to(tl.float32)[:, None]


@triton.jit
def largest_of(rows):
    """Return the largest absolute value of each row, NaN if one is NaN.

    The bits of positive numbers are in the order of these, and those of infinity and NaN follow.
    """
    bits = rows.to(tl.int32, bitcast=True) & 0x7FFFFFFF
    return tl.max(bits, axis=1).to(tl.float32, bitcast=True)


@triton.jit
def put_scales(base, at, i, left, scales, KIND: tl.constexpr, BLOCK: tl.constexpr):
    """Write scales, and return them as they are kept, as a column."""
    where, first = _one_each(base, at, i, KIND, BLOCK)
    kept = scales.to(KIND)
    tl.store(where, kept, mask=first < left)
    return kept.to(tl.float32)[:, None]


@triton.jit
def to_encode(numbers, i, left, BLOCK: tl.constexpr):
    """Return numbers in rows, with zeros where there are none, so that no other enters a scale."""
    return in_rows(tl.where(i < left, numbers.to(tl.float32), 0.0), BLOCK)


# A compiler may join a product and a sum into one rounding. This product has its sum already.
@triton.jit
def product(x, y):
    """Return a product, rounded as `storage.codecs` rounds it; a zero has no sign."""
    return tl.fma(x, y, 0.0)


@triton.jit
def or_zero(x):
    """Return numbers, with 0 in the place of NaN."""
    return tl.where(x == x, x, 0.0)


@triton.jit
def or_least(scales, LEAST: tl.constexpr):
    """Return scales to divide by, or NaN."""
    return tl.where(scales < LEAST, LEAST, scales)
