"""Codes and numbers of a vector: what each codec of `storage.codecs` is on vectors of LLVM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from schuss.engines.devices.cpu import flash, four_bits, permutes
from schuss.engines.devices.cpu.decades import (
    decoded_in_registers,
    encoded_by_decades,
    look_up_of,
    multiplied,
)
from schuss.engines.devices.cpu.float8 import decoded_from, encoded_as
from schuss.engines.devices.cpu.vectors import LANES, Vectors
from schuss.storage.codecs.codec import TINY
from schuss.storage.codecs.dynamic import Dynamic, Dynamic8, UDynamic8
from schuss.storage.codecs.floats import E4M3, E5M2, Float8

_INT8, _FLOAT = ir.IntType(8), ir.FloatType()


@numba.njit(inline="always")
def _itself(largest: Any) -> Any:
    """Return the largest absolute value of a block, which most codecs keep."""
    return largest


class Coding(NamedTuple):
    """A codec, for the numbers whose codes fill a vector of bytes.

    Attributes:
        decode: Takes the addresses of codes and of numbers, and a scale.
        encode: The same, with the factor of numbers in the place of the scale.
        factor: Returns that factor, given a scale.
        per_byte: How many numbers a byte has the codes of.
        per_block: How many vectors of bytes share a scale.
        scale: The kind of the scales.
        scale_of: Returns the scale, before it is rounded, given the largest absolute value.
        is_exact: The factor is of the scale before it is rounded.
        look_up: Stores what a map has at some codes, given the addresses of codes and of numbers,
            and `decode` goes on from there; None if there is no map in memory.
        width: How many bytes are decoded at once.
    """

    decode: Any
    encode: Any
    factor: Any
    per_byte: int
    per_block: int
    scale: str
    scale_of: Any = _itself
    is_exact: bool = False
    look_up: Any = None
    width: int = LANES


def _decoder(decoded: Callable[[Vectors, Any, Any], list[Any]], width: int = LANES) -> Any:
    """Return a function for kernels of what decodes a vector of bytes to vectors of numbers."""

    @intrinsic
    def decode(typing_context: Any, codes: Any, scale: Any, numbers: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            codes, scale, numbers = arguments
            vectors = Vectors(builder)
            found = decoded(vectors, vectors.load(codes, _INT8, 0, width), scale)
            for index, each in enumerate(found):
                vectors.store(numbers, each, 4 * each.type.count * index)
            return context.get_dummy_value()

        return types.void(types.int64, types.float32, types.int64), generate

    return decode


def _encoder(encoded: Callable[[Vectors, list[Any], Any], Any], per_byte: int) -> Any:
    """Return a function for kernels of what encodes vectors of numbers as a vector of bytes."""

    @intrinsic
    def encode(typing_context: Any, codes: Any, factor: Any, numbers: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            codes, factor, numbers = arguments
            vectors = Vectors(builder)
            given = [vectors.load(numbers, _FLOAT, 4 * LANES * n) for n in range(per_byte)]
            vectors.store(codes, encoded(vectors, given, vectors.spread(factor)), 0)
            return context.get_dummy_value()

        return types.void(types.int64, types.float32, types.int64), generate

    return encode


def _factor(of_scale: Callable[[Any, Any], Any]) -> Any:
    """Return a function for kernels of what makes the factor of numbers of a scale."""

    @intrinsic
    def factor(typing_context: Any, scale: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            (scale,) = arguments
            is_tiny = builder.fcmp_ordered("<", scale, _FLOAT(TINY))
            return of_scale(builder, builder.select(is_tiny, _FLOAT(TINY), scale))

        return types.float32(types.float32), generate

    return factor


def _reciprocal(build: Any, scale: Any) -> Any:
    return build.fdiv(_FLOAT(1.0), scale)


def _over_root(most: float) -> Callable[[Any, Any], Any]:
    def of_scale(build: Any, scale: Any) -> Any:
        kind = ir.FunctionType(_FLOAT, [_FLOAT])
        root = build.module.declare_intrinsic("llvm.sqrt", [_FLOAT], kind)
        return build.fdiv(_FLOAT(most), build.call(root, [scale]))

    return of_scale


def _decoded_int8(vectors: Vectors, codes: Any, scale: Any) -> list[Any]:
    build, roots = vectors.builder, vectors.signed(codes)
    scales = vectors.spread(build.fmul(scale, _FLOAT(1 / 127.0**2)))
    return [build.fmul(build.fmul(roots, vectors.absolute(roots)), scales)]


def _encoded_int8(vectors: Vectors, numbers: list[Any], factor: Any) -> Any:
    roots = vectors.builder.fmul(vectors.root(vectors.absolute(numbers[0])), factor)
    sizes = vectors.larger(roots, vectors.number(0.0))  # which is 0 for NaN
    return vectors.nearest(vectors.with_sign_of(sizes, numbers[0]))


def _decoded_uint8(vectors: Vectors, codes: Any, scale: Any) -> list[Any]:
    build, roots = vectors.builder, vectors.unsigned(codes)
    scales = vectors.spread(build.fmul(scale, _FLOAT(1 / 255.0**2)))
    return [build.fmul(build.fmul(roots, roots), scales)]


def _encoded_uint8(vectors: Vectors, numbers: list[Any], factor: Any) -> Any:
    build, zero, one = vectors.builder, vectors.number(0.0), vectors.number(1.0)
    roots = vectors.larger(build.fmul(vectors.root(numbers[0]), factor), zero)
    is_positive = build.fcmp_ordered(">", numbers[0], zero)
    return vectors.nearest(build.select(is_positive, vectors.larger(roots, one), roots))


def _companded(decoded: Any, encoded: Any, most: float) -> Coding:
    factor = _factor(_over_root(most))
    return Coding(_decoder(decoded), _encoder(encoded, 1), factor, 1, 1, "bfloat16")


def dynamic(codec: Dynamic, *, in_registers: bool) -> Coding:
    """Return one of the dynamic codecs.

    Args:
        codec: The codec.
        in_registers: Whether the processor has tables in registers.
    """
    encode = _encoder(encoded_by_decades(codec, in_registers=in_registers), 1)
    rest = encode, _factor(_reciprocal), 1, codec.block // LANES, "float32"
    if in_registers:
        decode = _decoder(decoded_in_registers(codec), permutes.WIDTH)
        return Coding(decode, *rest, width=permutes.WIDTH)
    return Coding(multiplied(), *rest, look_up=look_up_of(codec))


def of_4_bits(coders: tuple[Any, Any]) -> Coding:
    """Return a codec of two codes in a byte, given what decodes and encodes vectors."""
    decoded, encoded = coders
    factor = _factor(_reciprocal)
    return Coding(_decoder(decoded), _encoder(encoded, 2), factor, 2, 2, "float32")


def _of_float8(codec: Float8) -> Coding:
    decode, encode = _decoder(decoded_from(codec)), _encoder(encoded_as(codec), 1)
    return Coding(decode, encode, _factor(_reciprocal), 1, codec.block // LANES, "float32")


def _of_flash(decoded: Any, encoded: Any, scale_of: Any) -> Coding:
    coders = _decoder(decoded), _encoder(encoded, 1), _factor(lambda build, scale: scale)
    return Coding(*coders, 1, 1, "float16", scale_of, is_exact=True)


CODINGS = {
    "int8": _companded(_decoded_int8, _encoded_int8, 127.0),
    "uint8": _companded(_decoded_uint8, _encoded_uint8, 255.0),
    "dynamic8": dynamic(Dynamic8(), in_registers=permutes.ARE_THERE),
    "udynamic8": dynamic(UDynamic8(), in_registers=permutes.ARE_THERE),
    "int4": of_4_bits(four_bits.int4(in_registers=permutes.ARE_THERE)),
    "uint4": of_4_bits(four_bits.uint4()),
    "fp8_e4m3": _of_float8(E4M3()),
    "fp8_e5m2": _of_float8(E5M2()),
    "flash_int8": _of_flash(flash.decoded_int8, flash.encoded_int8, flash.at_least),
    "flash_uint8": _of_flash(flash.decoded_uint8, flash.encoded_uint8, flash.root_at_least),
}
"""The codecs that kernels have, by name."""
