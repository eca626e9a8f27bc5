"""The dynamic codecs on vectors: numbers of a map, in decades.

There are two ways, which find the same codes and numbers. Processors with tables in registers
look everything up. Others find the decade of a number by comparisons, and read the map from memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from schuss.engines.devices.cpu import permutes
from schuss.engines.devices.cpu.vectors import Vectors
from schuss.storage.codecs.dynamic import EIGHT_NINTHS, Dynamic

_INT8, _FLOAT = ir.IntType(8), ir.FloatType()
_INTERVALS = 16
"""How many numbers a table of one register has."""


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


def decoded_in_registers(codec: Dynamic) -> Callable[[Vectors, Any, Any], list[Any]]:
    """Return a function that decodes codes that fill a register."""

    def decoded(vectors: Vectors, codes: Any, scale: Any) -> list[Any]:
        build = vectors.builder
        numbers = permutes.of_codes(build, codec.map, codes)
        return [build.fmul(each, vectors.spread(scale, each.type.count)) for each in numbers]

    return decoded


def encoded_by_decades(
    codec: Dynamic, *, in_registers: bool
) -> Callable[[Vectors, list[Any], Any], Any]:
    """Return a function that encodes a vector of numbers, given the factor that makes shares.

    Args:
        codec: The codec.
        in_registers: Whether tables are looked up.
    """
    steps_of = (_looked_up if in_registers else _compared)(codec)

    def encoded(vectors: Vectors, numbers: list[Any], factor: Any) -> Any:
        build = vectors.builder
        shares = build.fmul(numbers[0], factor)
        if codec.is_signed:
            steps = steps_of(vectors, vectors.absolute(shares))
            return vectors.on_both_sides(steps, shares, codec.zero)
        found = vectors.truncated(steps_of(vectors, shares))
        two = vectors.whole(2)
        at_least = build.select(build.icmp_signed(">", found, two), found, two)
        is_some = build.fcmp_ordered(">", numbers[0], vectors.number(0.0))
        found = build.select(is_some, at_least, found)
        return vectors.as_bytes(build.sub(found, vectors.whole(1)))

    return encoded


Steps = Callable[[Vectors, Any], Any]
"""Return how many numbers of the map lie between zero and the nearest one to some shares.

A map without negative numbers has one more, since zero is the first of its own."""


def _compared(codec: Dynamic) -> Steps:
    """Find decades by comparisons."""

    def steps_of(vectors: Vectors, shares: Any) -> Any:
        build, sizes = vectors.builder, vectors.or_zero(shares)
        factors, counts = vectors.number(0.0), vectors.number(0.5)
        for decade in codec.steps:
            reached = build.fcmp_ordered(">=", sizes, vectors.number(decade.begin))
            factors = build.select(reached, vectors.number(decade.factor), factors)
            counts = build.select(reached, vectors.number(decade.numbers), counts)
        first = build.fmul(counts, vectors.number(EIGHT_NINTHS))
        steps = build.fadd(vectors.product(sizes, factors), first)
        last = build.fsub(build.fadd(counts, counts), vectors.number(1.0))
        steps = vectors.smaller(steps, last)
        if not codec.is_signed:
            steps = vectors.larger(steps, vectors.number(1.0))
        is_one = build.fcmp_ordered(">=", sizes, vectors.number(codec.last))
        return build.select(is_one, vectors.number(_intervals(codec)[-1].last), steps)

    return steps_of


class _Interval(NamedTuple):
    """Shares that go one way: they are multiplied, and something is added, up to the last step."""

    begin: float
    factor: float
    first: float
    last: float


def _intervals(codec: Dynamic) -> list[_Interval]:
    """Return what is below all decades, the decades, and what is nearest to 1."""
    begin = 0.0 if codec.is_signed else 1.0
    found = [_Interval(0.0, 0.0, begin, begin)]
    for at, factor, numbers in codec.steps:
        found.append(_Interval(at, factor, numbers * EIGHT_NINTHS, 2 * numbers - 1))
    end = found[-1].last + 1
    return [*found, _Interval(codec.last, 0.0, end, end)]


def _looked_up(codec: Dynamic) -> Steps:
    """Find intervals by exponents."""
    intervals = _intervals(codec)
    begins = [interval.begin for interval in intervals[1:]]
    _, factors, firsts, lasts = (_filled(each) for each in zip(*intervals, strict=True))

    def steps_of(vectors: Vectors, shares: Any) -> Any:
        build = vectors.builder
        index = permutes.reached(vectors, shares, begins)
        factor, first, last = (
            permutes.numbers_at(build, table, index) for table in (factors, firsts, lasts)
        )
        # NaN is in the first interval, and becomes its last step where the smaller one is taken.
        return vectors.smaller(build.fadd(vectors.product(shares, factor), first), last)

    return steps_of


def _filled(numbers: Sequence[float]) -> list[float]:
    return [*numbers, *[0.0] * (_INTERVALS - len(numbers))]
