"""The codecs of `storage.codecs` as kernels call them, with the same bits.

A kernel goes through a chunk in strips that fit into the fastest cache. Before a strip
`decode_NAME(codes, scales, numbers, count)` decodes it into float32 numbers, with which the program
computes, and after it `encode_NAME` encodes what the program left there. All take addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy import float32

from schuss.engines.devices.cpu.numbers import (
    load_bfloat16,
    store_bfloat16,
    store_float32,
)
from schuss.engines.devices.cpu.vectors import LANES, Vectors
from schuss.storage.codecs.codec import TINY

STRIP = 1024
"""How many numbers are decoded at once: a multiple of every block."""

_INT8, _INT64, _FLOAT = ir.IntType(8), ir.IntType(64), ir.FloatType()
_ZERO = float32(0)
_NUMBER = 4  # bytes
_SPREAD = 48
"""Numbers that keep the rooms of two places from lying a page apart: loads wait for stores then."""


def _decoded_int8(vectors: Vectors, codes: Any, scale: Any) -> Any:
    build = vectors.builder
    roots = vectors.signed(codes)
    scale = build.fmul(scale, _FLOAT(1 / 127.0**2))
    return build.fmul(build.fmul(roots, vectors.absolute(roots)), vectors.spread(scale))


def _encoded_int8(vectors: Vectors, numbers: Any, reciprocal: Any) -> Any:
    roots = vectors.root(vectors.absolute(numbers))
    roots = vectors.builder.fmul(roots, vectors.spread(reciprocal))
    return vectors.nearest(vectors.with_sign_of(roots, numbers))


def _decoded_uint8(vectors: Vectors, codes: Any, scale: Any) -> Any:
    build = vectors.builder
    roots = vectors.unsigned(codes)
    scale = build.fmul(scale, _FLOAT(1 / 255.0**2))
    return build.fmul(build.fmul(roots, roots), vectors.spread(scale))


def _encoded_uint8(vectors: Vectors, numbers: Any, reciprocal: Any) -> Any:
    build = vectors.builder
    zero, one = vectors.number(0.0), vectors.number(1.0)
    is_positive = build.fcmp_ordered(">", numbers, zero)
    roots = build.fmul(
        vectors.root(build.select(is_positive, numbers, zero)), vectors.spread(reciprocal)
    )
    is_small = build.and_(is_positive, build.fcmp_ordered("<", roots, one))
    return vectors.nearest(build.select(is_small, one, roots))


def _reciprocal(build: Any, scale: Any, most: float) -> Any:
    """Return what a root is multiplied with to become a code, given the scale of its block."""
    is_tiny = build.fcmp_ordered("<", scale, _FLOAT(TINY))
    scale = build.select(is_tiny, _FLOAT(TINY), scale)
    kind = ir.FunctionType(_FLOAT, [_FLOAT])
    root = build.module.declare_intrinsic("llvm.sqrt", [_FLOAT], kind)
    return build.fdiv(_FLOAT(most), build.call(root, [scale]))


def _block_decoder(decoded: Callable[..., Any]) -> Any:
    @intrinsic
    def decode(typing_context: Any, codes: Any, scale: Any, numbers: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            codes, scale, numbers = arguments
            vectors = Vectors(builder)
            found = decoded(vectors, vectors.load(codes, _INT8, 0), scale)
            vectors.store(numbers, found, 0)
            return context.get_dummy_value()

        return types.void(types.int64, types.float32, types.int64), generate

    return decode


def _block_encoder(encoded: Callable[..., Any], most: float) -> Any:
    @intrinsic
    def encode(typing_context: Any, codes: Any, scale: Any, numbers: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            codes, scale, numbers = arguments
            vectors = Vectors(builder)
            reciprocal = _reciprocal(builder, scale, most)
            found = encoded(vectors, vectors.load(numbers, _FLOAT, 0), reciprocal)
            vectors.store(codes, found, 0)
            return context.get_dummy_value()

        return types.void(types.int64, types.float32, types.int64), generate

    return encode


def _room(kind: Any, count: int) -> Any:
    """Return an intrinsic that returns the address of room on the stack."""

    @intrinsic
    def room(typing_context: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            allocated: Any = cgutils.alloca_once  # before all loops
            found = allocated(builder, ir.ArrayType(kind, count))
            found.align = 64
            return builder.ptrtoint(found, _INT64)

        return types.int64(), generate

    return room


strip = _room(_FLOAT, STRIP + _SPREAD)
"""The room for the numbers of a strip."""

_block = _room(_INT8, LANES)


def _largest_of_block() -> Any:
    @intrinsic
    def largest(typing_context: Any, numbers: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vectors = Vectors(builder)
            return vectors.largest(vectors.load(arguments[0], _FLOAT, 0))

        return types.float32(types.int64), generate

    return largest


def _copier_of_codes() -> Any:
    @intrinsic
    def copy(typing_context: Any, into: Any, of: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            *bases, index = arguments
            pointers = (builder.inttoptr(base, _INT8.as_pointer()) for base in bases)
            one, other = (builder.gep(pointer, [index]) for pointer in pointers)
            builder.store(builder.load(other), one)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64), generate

    return copy


_largest, _copy_code = _largest_of_block(), _copier_of_codes()


def _strip_decoder(decoded: Callable[..., Any]) -> Any:
    decode = _block_decoder(decoded)

    @numba.njit(inline="always")
    def decode_strip(codes: int, scales: int, numbers: int, count: int) -> None:
        blocks = count // LANES
        for block in range(blocks):
            scale = load_bfloat16(scales, block)
            decode(codes + block * LANES, scale, numbers + block * LANES * _NUMBER)
        rest = count - blocks * LANES
        if rest:
            tail = _block()
            for i in range(rest):
                _copy_code(tail, codes + blocks * LANES, i)
            decode(tail, load_bfloat16(scales, blocks), numbers + blocks * LANES * _NUMBER)

    return decode_strip


def _strip_encoder(encoded: Callable[..., Any], most: float) -> Any:
    encode = _block_encoder(encoded, most)

    @numba.njit(inline="always")
    def encode_strip(codes: int, scales: int, numbers: int, count: int) -> None:
        blocks = count // LANES
        for block in range(blocks):
            of_block = numbers + block * LANES * _NUMBER
            store_bfloat16(scales, block, _largest(of_block))
            encode(codes + block * LANES, load_bfloat16(scales, block), of_block)
        rest = count - blocks * LANES
        if rest:
            tail, of_block = _block(), numbers + blocks * LANES * _NUMBER
            for i in range(rest, LANES):
                store_float32(of_block, i, _ZERO)
            store_bfloat16(scales, blocks, _largest(of_block))
            encode(tail, load_bfloat16(scales, blocks), of_block)
            for i in range(rest):
                _copy_code(codes + blocks * LANES, tail, i)

    return encode_strip


decode_int8, encode_int8 = _strip_decoder(_decoded_int8), _strip_encoder(_encoded_int8, 127.0)
decode_uint8, encode_uint8 = _strip_decoder(_decoded_uint8), _strip_encoder(_encoded_uint8, 255.0)
