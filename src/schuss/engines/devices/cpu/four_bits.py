"""The codecs of 4 bits on vectors: two numbers a byte.

Codes of `int4` stand for numbers of a map, and there are two ways to it, which find the same codes.
Processors with tables in registers look them up, and others compare.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schuss.engines.devices.cpu import permutes
from schuss.engines.devices.cpu.vectors import Vectors
from schuss.storage.codecs.four_bit import Int4

Coders = tuple[Callable[..., list[Any]], Callable[..., Any]]
"""The function that decodes a vector, and that which encodes it."""

_INT4 = Int4()
_MAP = [-size for size in reversed(_INT4.sizes[1 : _INT4.zero + 1])] + _INT4.sizes
"""The number of each code."""


def int4(*, in_registers: bool) -> Coders:
    """Return the coders of `int4`.

    Args:
        in_registers: Whether the processor has tables in registers.
    """
    number_of, place_of = (_looked_up, _reached_in_table) if in_registers else (_chosen, _reached)

    def decoded(vectors: Vectors, codes: Any, scale: Any) -> list[Any]:
        scales = vectors.spread(scale)
        return [
            vectors.builder.fmul(number_of(vectors, half), scales) for half in vectors.halves(codes)
        ]

    def codes_of(vectors: Vectors, numbers: Any, factor: Any) -> Any:
        build, zero = vectors.builder, vectors.whole(_INT4.zero)
        shares = vectors.builder.fmul(numbers, factor)
        found = place_of(vectors, vectors.absolute(shares))
        capped = build.select(build.icmp_signed("<", found, zero), found, zero)
        is_negative = build.icmp_signed("<", vectors.bits(shares), vectors.whole(0))
        return build.select(is_negative, build.sub(zero, capped), build.add(zero, found))

    return decoded, _joined(codes_of)


def uint4() -> Coders:
    """Return the coders of `uint4`."""

    def decoded(vectors: Vectors, codes: Any, scale: Any) -> list[Any]:
        build, scales = vectors.builder, vectors.spread(scale)
        sixteenth, one = vectors.number(1 / 16), vectors.number(1.0)
        halves = (vectors.as_numbers(half) for half in vectors.halves(codes))
        steps = (build.fmul(build.fadd(half, one), sixteenth) for half in halves)
        return [build.fmul(each, scales) for each in steps]

    def codes_of(vectors: Vectors, numbers: Any, factor: Any) -> Any:
        build = vectors.builder
        shares = build.fmul(build.fmul(numbers, factor), vectors.number(16.0))
        steps = build.fsub(shares, vectors.number(0.5))
        steps = vectors.larger(steps, vectors.number(0.0))  # which is 0 for NaN
        return vectors.truncated(vectors.smaller(steps, vectors.number(15.0)))

    return decoded, _joined(codes_of)


def _joined(codes_of: Callable[[Vectors, Any, Any], Any]) -> Callable[..., Any]:
    """Return a function that makes bytes of the codes of two vectors."""

    def encoded(vectors: Vectors, numbers: list[Any], factor: Any) -> Any:
        return vectors.joined(*(codes_of(vectors, each, factor) for each in numbers))

    return encoded


def _looked_up(vectors: Vectors, codes: Any) -> Any:
    """Return what the map has at codes."""
    return permutes.numbers_at(vectors.builder, _MAP, codes)


def _chosen(vectors: Vectors, codes: Any) -> Any:
    """Return what the map has at codes, by a choice for each size."""
    build = vectors.builder
    places = build.sub(codes, vectors.whole(_INT4.zero))
    is_negative = build.icmp_signed("<", places, vectors.whole(0))
    reached = build.select(is_negative, build.neg(places), places)
    sizes = vectors.number(0.0)
    for place, size in enumerate(_INT4.sizes):
        at = build.icmp_signed(">=", reached, vectors.whole(place))
        sizes = build.select(at, vectors.number(size), sizes)
    return build.select(is_negative, build.fneg(sizes), sizes)


def _reached_in_table(vectors: Vectors, sizes: Any) -> Any:
    """Return how many of eight ascending numbers are reached: seven by a table, and the last."""
    build = vectors.builder
    *others, last = _INT4.begins
    found = permutes.reached(vectors, sizes, others, digits=1)
    is_last = build.fcmp_ordered(">=", sizes, vectors.number(last))
    return build.select(is_last, build.add(found, vectors.whole(1)), found)


def _reached(vectors: Vectors, sizes: Any) -> Any:
    """Return how many of eight ascending numbers are reached: seven in halves, and the last."""
    build, pick = vectors.builder, vectors.builder.select
    of = [vectors.number(begin) for begin in _INT4.begins]

    def reach(begin: Any) -> Any:
        return build.fcmp_ordered(">=", sizes, begin)

    four = reach(of[3])
    two = reach(pick(four, of[5], of[1]))
    one = reach(pick(four, pick(two, of[6], of[4]), pick(two, of[2], of[0])))
    found, none = vectors.whole(0), vectors.whole(0)
    for is_more, count in ((four, 4), (two, 2), (one, 1), (reach(of[7]), 1)):
        found = build.add(found, pick(is_more, vectors.whole(count), none))
    return found
