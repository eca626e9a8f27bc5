"""The dynamic codecs on vectors: numbers of a map, in decades."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from schuss.engines.devices.cpu.vectors import Vectors
from schuss.storage.codecs.dynamic import EIGHT_NINTHS, Dynamic

_FLOAT = ir.FloatType()


def look_up_of(codec: Dynamic) -> Any:
    """Return a function for kernels that stores what the map has at the codes of a vector."""

    @intrinsic
    def look_up(typing_context: Any, codes: Any, numbers: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            Vectors(builder).look_up(f"map_{codec.name}", codec.map, *arguments)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return look_up


def multiplied() -> Any:
    """Return a function for kernels that multiplies what a map has by the scale."""

    @intrinsic
    def multiply(typing_context: Any, codes: Any, scale: Any, numbers: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, scale, numbers = arguments
            vectors = Vectors(builder)
            found = builder.fmul(vectors.load(numbers, _FLOAT, 0), vectors.spread(scale))
            vectors.store(numbers, found, 0)
            return context.get_dummy_value()

        return types.void(types.int64, types.float32, types.int64), generate

    return multiply


def encoded_by_decades(codec: Dynamic) -> Callable[[Vectors, list[Any], Any], Any]:
    """Return a function that encodes a vector of numbers, given the factor that makes shares."""

    def encoded(vectors: Vectors, numbers: list[Any], factor: Any) -> Any:
        build = vectors.builder
        shares = vectors.or_zero(build.fmul(numbers[0], factor))
        sizes = vectors.absolute(shares) if codec.is_signed else shares
        factors, counts = vectors.number(0.0), vectors.number(0.5)
        for decade in codec.steps:
            reached = build.fcmp_ordered(">=", sizes, vectors.number(decade.begin))
            factors = build.select(reached, vectors.number(decade.factor), factors)
            counts = build.select(reached, vectors.number(decade.numbers), counts)
        first = build.fmul(counts, vectors.number(EIGHT_NINTHS))
        steps = build.fadd(build.fmul(sizes, factors), first)
        last = build.fsub(build.fadd(counts, counts), vectors.number(1.0))
        found = vectors.truncated(vectors.smaller(steps, last))
        is_one = build.fcmp_ordered(">=", sizes, vectors.number(codec.last))
        found = build.add(found, build.zext(is_one, found.type))
        zero = vectors.whole(codec.zero)
        if not codec.is_signed:
            is_some = build.fcmp_ordered(">", numbers[0], vectors.number(0.0))
            least = build.select(is_some, vectors.whole(2), vectors.whole(1))
            at_least = build.select(build.icmp_signed(">", found, least), found, least)
            return vectors.as_bytes(build.sub(at_least, vectors.whole(1)))
        capped = build.select(build.icmp_signed("<", found, zero), found, zero)
        is_negative = build.fcmp_ordered("<", shares, vectors.number(0.0))
        codes = build.select(is_negative, build.sub(zero, capped), build.add(zero, found))
        return vectors.as_bytes(codes)

    return encoded
