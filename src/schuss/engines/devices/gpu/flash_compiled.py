"""The codecs of FlashOptim, with the bits of `storage.codecs.flash`."""

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
from schuss.storage.codecs.flash import LEAST

_LEAST = tl.constexpr(LEAST)


@triton.jit
def _steps(shares, MOST: tl.constexpr):
    """Return the nearest steps; the upper one of two that are equally near."""
    return tl.floor(product(or_zero(shares), MOST) + 0.5).to(tl.int32)


@triton.jit
def decode_flash_int8(codes, scales, at, i, left, ALIGNED: tl.constexpr):
    """Decode a block of `flash_int8`."""
    steps = codes_of(codes, at, i, left, tl.int8, 32, ALIGNED).to(tl.float32)
    companded = tl.div_rn(steps, 127.0)
    shares = tl.div_rn(companded, 2.0 - tl.abs(companded))
    return tl.reshape(product(shares, scales_of(scales, at, i, left, tl.float16, 32)), i.shape)


@triton.jit
def encode_flash_int8(codes, scales, at, i, left, numbers, ALIGNED: tl.constexpr):
    """Encode a block as `flash_int8`."""
    rows = to_encode(numbers, i, left, 32)
    by = or_least(largest_of(rows), _LEAST)
    put_scales(scales, at, i, left, by, tl.float16, 32)
    shares = tl.div_rn(rows, by[:, None])
    companded = tl.div_rn(2.0 * shares, 1.0 + tl.abs(shares))
    put_codes(codes, at, i, left, _steps(companded, 127.0), tl.int8, ALIGNED)


@triton.jit
def decode_flash_uint8(codes, scales, at, i, left, ALIGNED: tl.constexpr):
    """Decode a block of `flash_uint8`."""
    steps = codes_of(codes, at, i, left, tl.uint8, 32, ALIGNED).to(tl.float32)
    roots = product(tl.div_rn(steps, 255.0), scales_of(scales, at, i, left, tl.float16, 32))
    return tl.reshape(product(roots, roots), i.shape)


@triton.jit
def encode_flash_uint8(codes, scales, at, i, left, numbers, ALIGNED: tl.constexpr):
    """Encode a block as `flash_uint8`."""
    rows = to_encode(numbers, i, left, 32)
    by = or_least(tl.sqrt_rn(largest_of(rows)), _LEAST)
    put_scales(scales, at, i, left, by, tl.float16, 32)
    roots = tl.sqrt_rn(tl.where(rows > 0, rows, 0.0))
    put_codes(codes, at, i, left, _steps(tl.div_rn(roots, by[:, None]), 255.0), tl.uint8, ALIGNED)
