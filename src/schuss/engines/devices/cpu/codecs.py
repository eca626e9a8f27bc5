"""The codecs as kernels call them, with the bits of `storage.codecs`.

A kernel goes through a chunk in portions that fit into the fastest cache. Before a portion
`decode_NAME(codes, scales, numbers, count)` decodes it into float32 numbers, with which the program
computes, and after it `encode_NAME` encodes what the program left there. All take addresses.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy import float32

from schuss.engines.devices.cpu import numbers as in_memory
from schuss.engines.devices.cpu.coding import CODINGS, Coding
from schuss.engines.devices.cpu.permutes import WIDTH
from schuss.engines.devices.cpu.vectors import LANES, Vectors

PORTION = 16 * LANES
"""How many numbers are decoded at once: a multiple of every block.

From memory, 1,024 took a tenth longer where it was measured. Meanwhile nothing is read from there.
"""

_INT8, _INT64, _FLOAT = ir.IntType(8), ir.IntType(64), ir.FloatType()
_ZERO = float32(0)
_NUMBER = 4  # bytes
_SPREAD = 48
"""Numbers that keep the rooms of two places from lying a page apart: loads wait for stores then."""


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


room_of_portion = _room(_FLOAT, PORTION + _SPREAD)
"""The room for the numbers of a portion."""

_vector = _room(_INT8, WIDTH)
_factors = _room(_FLOAT, PORTION // LANES)


def _copier_of_bytes() -> Any:
    """Return an intrinsic that copies the byte at an index."""

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


def _largest_of(count: int) -> Any:
    """Return an intrinsic that returns the largest absolute value in some vectors of numbers."""

    @intrinsic
    def largest(typing_context: Any, numbers: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vectors = Vectors(builder)
            return vectors.largest(_loaded(vectors, arguments[0], count))

        return types.float32(types.int64), generate

    return largest


def _storer_of_largest() -> Any:
    """Return an intrinsic that stores the largest absolute value of each vector of a portion."""

    @intrinsic
    def store(typing_context: Any, numbers: Any, found: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            numbers, found = arguments
            vectors = Vectors(builder)
            several = _loaded(vectors, numbers, PORTION // LANES)
            vectors.store(found, vectors.largest_of_each(several), 0)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return store


def _loaded(vectors: Vectors, numbers: Any, count: int) -> list[Any]:
    places = range(0, LANES * _NUMBER * count, LANES * _NUMBER)
    return [vectors.load(numbers, _FLOAT, at) for at in places]


_store_largest, _copy_byte = _storer_of_largest(), _copier_of_bytes()


def _strip_decoder(coding: Coding) -> Any:
    decode, per_byte, width = coding.decode, coding.per_byte, coding.width
    load_scale = getattr(in_memory, f"load_{coding.scale}")
    step = per_byte * width
    per_block = coding.per_block * LANES // width

    @numba.njit(inline="always")
    def decode_strip(codes: int, scales: int, numbers: int, count: int) -> None:
        whole = count // step
        tail = _vector()
        for n in range((count + step - 1) // step):
            at = codes + n * width
            if n == whole:  # no byte behind the last code may be touched
                for i in range((count - whole * step + per_byte - 1) // per_byte):
                    _copy_byte(tail, at, i)
                at = tail
            decode(at, load_scale(scales, n // per_block), numbers + n * step * _NUMBER)

    return decode_strip


def _map_decoder(coding: Coding) -> Any:
    """Return a decoder of portions that looks all numbers up before it goes on with vectors.

    A vector that was stored in parts is not there for a load until these are through.
    """
    decode, look_up, per_block = coding.decode, coding.look_up, coding.per_block
    load_scale = getattr(in_memory, f"load_{coding.scale}")

    @numba.njit(inline="always")
    def decode_strip(codes: int, scales: int, numbers: int, count: int) -> None:
        whole = count // LANES
        for n in range(whole):
            look_up(codes + n * LANES, numbers + n * LANES * _NUMBER)
        if count > whole * LANES:
            tail = _vector()
            for i in range(count - whole * LANES):
                _copy_byte(tail, codes + whole * LANES, i)
            look_up(tail, numbers + whole * LANES * _NUMBER)
        for n in range((count + LANES - 1) // LANES):
            decode(codes, load_scale(scales, n // per_block), numbers + n * LANES * _NUMBER)

    return decode_strip


def _scaler(coding: Coding) -> Any:
    """Return a function that stores the scales of a portion, and the factors of its blocks."""
    factor, scale_of, is_exact = coding.factor, coding.scale_of, coding.is_exact
    load_scale = getattr(in_memory, f"load_{coding.scale}")
    store_scale = getattr(in_memory, f"store_{coding.scale}")
    in_block = coding.per_byte * coding.per_block
    is_short, block, largest = in_block == 1, in_block * LANES, _largest_of(in_block)

    @numba.njit(inline="always")
    def scaled(number: int, largest: Any, scales: int, factors: int) -> None:
        scale = scale_of(largest)
        store_scale(scales, number, scale)
        by = factor(scale if is_exact else load_scale(scales, number))
        in_memory.store_float32(factors, number, by)

    @numba.njit(inline="always")
    def of_vectors(numbers: int, scales: int, factors: int, blocks: int) -> None:
        _store_largest(numbers, factors)
        for n in range(blocks):  # of which the compiler makes vectors
            scaled(n, in_memory.load_float32(factors, n), scales, factors)

    @numba.njit(inline="always")
    def of_blocks(numbers: int, scales: int, factors: int, blocks: int) -> None:
        for n in range(blocks):
            scaled(n, largest(numbers + n * block * _NUMBER), scales, factors)

    return of_vectors if is_short else of_blocks


def _encoder(coding: Coding) -> Any:
    """Return an encoder of portions.

    All factors are found before the first number is encoded. A vector of numbers that waits for the
    factor of its block would keep those behind it waiting.
    """
    encode, per_byte, per_block = coding.encode, coding.per_byte, coding.per_block
    step = per_byte * LANES
    block = step * per_block
    scale = _scaler(coding)

    @numba.njit(inline="always")
    def encode_strip(codes: int, scales: int, numbers: int, count: int) -> None:
        whole, vectors = count // step, (count + step - 1) // step
        for i in range(count, PORTION):
            in_memory.store_float32(numbers, i, _ZERO)
        factors, tail = _factors(), _vector()
        scale(numbers, scales, factors, (count + block - 1) // block)
        for n in range(vectors):
            at = tail if n == whole else codes + n * LANES
            by = in_memory.load_float32(factors, n // per_block)
            encode(at, by, numbers + n * step * _NUMBER)
        for i in range((count - whole * step + per_byte - 1) // per_byte):
            _copy_byte(codes + whole * LANES, tail, i)

    return encode_strip


def _short_decoder(coding: Coding) -> Any:
    """Return a decoder of portions for blocks of one vector: a loop with nothing to be decided."""
    decode, load_scale = coding.decode, getattr(in_memory, f"load_{coding.scale}")

    @numba.njit(inline="always")
    def decode_strip(codes: int, scales: int, numbers: int, count: int) -> None:
        whole = count // LANES
        for n in range(whole):
            decode(codes + n * LANES, load_scale(scales, n), numbers + n * LANES * _NUMBER)
        if count > whole * LANES:
            tail = _vector()
            for i in range(count - whole * LANES):
                _copy_byte(tail, codes + whole * LANES, i)
            decode(tail, load_scale(scales, whole), numbers + whole * LANES * _NUMBER)

    return decode_strip


def coders(coding: Coding) -> tuple[Any, Any]:
    """Return the decoder and the encoder of a codec."""
    decoder = _map_decoder if coding.look_up else _strip_decoder
    if coding.per_block == coding.per_byte == 1:
        decoder = _short_decoder
    return decoder(coding), _encoder(coding)


for _name, _coding in CODINGS.items():
    globals()[f"decode_{_name}"], globals()[f"encode_{_name}"] = coders(_coding)
