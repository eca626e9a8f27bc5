"""The functions that a kernel's source is written with: numbers in memory, and of its own.

`load_KIND(base, index)` and `store_KIND(base, index, number)` take the address of an array, and
`size_of_KIND` is the size of a number in bytes. Half precision is loaded as float32, and rounded to
the nearest, ties to even, when it is stored; whole numbers of 8 and 16 bits are loaded as float32,
and stored where they are whole. `rounds_to_KIND(number, other)` tells whether a number
would then be the other one, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy import uint64

from schuss.storage.kinds import KINDS

_INT8, _INT16, _INT32, _INT64 = map(ir.IntType, (8, 16, 32, 64))
_VOID = ir.VoidType()
_HALF, _FLOAT, _DOUBLE = ir.HalfType(), ir.FloatType(), ir.DoubleType()


def _bfloat16_bits(builder: Any, number: Any) -> Any:
    """Return the upper half of a float32, rounded; NaN stays NaN."""
    bits = builder.bitcast(number, _INT32)
    odd = builder.and_(builder.lshr(bits, _INT32(16)), _INT32(1))
    rounded = builder.lshr(builder.add(builder.add(bits, _INT32(0x7FFF)), odd), _INT32(16))
    is_nan = builder.fcmp_unordered("uno", number, number)
    return builder.trunc(builder.select(is_nan, _INT32(0x7FC0), rounded), _INT16)


def _from_bfloat16_bits(builder: Any, bits: Any) -> Any:
    return builder.bitcast(builder.shl(builder.zext(bits, _INT32), _INT32(16)), _FLOAT)


def _itself(builder: Any, number: Any) -> Any:
    return number


class _Format(NamedTuple):
    """How a number lies in memory, and the way into a kernel and back."""

    stored: Any
    loaded: Callable[..., Any]
    written: Callable[..., Any]


def _whole(stored: Any) -> _Format:
    """Return how a whole number is one of float32 in a kernel."""
    return _Format(
        stored,
        lambda builder, code: builder.sitofp(builder.sext(code, _INT32), _FLOAT),
        lambda builder, number: builder.trunc(builder.fptosi(number, _INT32), stored),
    )


# By the kinds of `storage`, and two kinds of whole numbers that are addresses and counts.
_FORMATS = {
    "bfloat16": _Format(_INT16, _from_bfloat16_bits, _bfloat16_bits),
    "float16": _Format(
        _HALF,
        lambda builder, number: builder.fpext(number, _FLOAT),
        lambda builder, number: builder.fptrunc(number, _HALF),
    ),
    "float32": _Format(_FLOAT, _itself, _itself),
    "float64": _Format(_DOUBLE, _itself, _itself),
    "int8": _whole(_INT8),
    "int16": _whole(_INT16),
    "int32": _Format(
        _INT32,
        lambda builder, number: builder.zext(number, _INT64),
        lambda builder, number: builder.trunc(number, _INT32),
    ),
    "int64": _Format(_INT64, _itself, _itself),
}


def _type(kind: str) -> Any:
    """Return the type of a number in a kernel."""
    return getattr(types, KINDS[kind].computed) if kind in KINDS else types.int64


def _element(builder: Any, stored: Any, base: Any, index: Any) -> Any:
    return builder.gep(builder.inttoptr(base, stored.as_pointer()), [index])


def _load(kind: str) -> Any:
    form, number = _FORMATS[kind], _type(kind)

    @intrinsic
    def load(typing_context: Any, base: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return form.loaded(builder, builder.load(_element(builder, form.stored, *arguments)))

        return number(types.int64, types.int64), generate

    return load


def _store(kind: str) -> Any:
    form, number = _FORMATS[kind], _type(kind)

    @intrinsic
    def store(typing_context: Any, base: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            *place, new = arguments
            builder.store(form.written(builder, new), _element(builder, form.stored, *place))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, number), generate

    return store


def _rounds_to(kind: str) -> Any:
    form, number = _FORMATS[kind], _type(kind)

    @intrinsic
    def rounds_to(typing_context: Any, value: Any, half: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value, half = arguments
            rounded = form.loaded(builder, form.written(builder, value))
            bits = (builder.bitcast(each, _INT32) for each in (rounded, half))
            return builder.icmp_signed("==", *bits)

        return types.boolean(number, number), generate

    return rounds_to


load_int32, store_int32 = _load("int32"), _store("int32")
load_int64, store_int64 = _load("int64"), _store("int64")
load_bfloat16, store_bfloat16 = _load("bfloat16"), _store("bfloat16")
load_float32, store_float32 = _load("float32"), _store("float32")
load_float64, store_float64 = _load("float64"), _store("float64")

for _kind in KINDS.values():
    globals()[f"load_{_kind.name}"] = _load(_kind.name)
    globals()[f"store_{_kind.name}"] = _store(_kind.name)
    globals()[f"size_of_{_kind.name}"] = _kind.bytes
    if _kind.is_half:
        globals()[f"rounds_to_{_kind.name}"] = _rounds_to(_kind.name)


@intrinsic
def taken(typing_context: Any, job: Any, count: Any) -> Any:
    """Take the next `count` entries of a job, which no other thread takes; return the first."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counter = builder.inttoptr(arguments[0], _INT64.as_pointer())
        return builder.atomic_rmw("add", counter, arguments[1], "monotonic")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def accumulated(typing_context: Any, total: Any, number: Any) -> Any:
    """Add a number to a sum whose order does not matter, so that it may be made in lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments, flags=("reassoc",))

    return types.float64(types.float64, types.float64), generate


def _extreme(name: str) -> Any:
    @intrinsic
    def extreme(typing_context: Any, one: Any, other: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = ir.FunctionType(_DOUBLE, [_DOUBLE, _DOUBLE])
            function = builder.module.declare_intrinsic(f"llvm.{name}", [_DOUBLE], kind)
            return builder.call(function, arguments)

        return types.float64(types.float64, types.float64), generate

    return extreme


larger, smaller = _extreme("maximum"), _extreme("minimum")
"""The larger, the smaller of two numbers; NaN if one of them is."""


def _joined(join: Callable[[Any, Any], Any]) -> Any:
    @numba.njit(inline="always")
    def joined(partials: int, index: int, of_all: int, count: int) -> Any:
        total = load_float64(partials, index)
        for partial in range(1, count):
            total = join(total, load_float64(partials, partial * of_all + index))
        return total

    return joined


joined_sum, joined_amax, joined_amin = map(_joined, (accumulated, larger, smaller))
"""The value of some partials, the first at an index and each next one `of_all` numbers further."""


def _call(returned: Any, number: Any, constants: tuple[Any, ...], kinds: Sequence[Any]) -> Any:
    """Return an intrinsic that calls a function of C by its address.

    Args:
        returned: The type that the function returns, to LLVM.
        number: The same, to Numba.
        constants: Last arguments that are always the same.
        kinds: The types of the others.
    """
    kind = ir.FunctionType(returned, [*kinds, *(c.type for c in constants)]).as_pointer()

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function, *given = values
        arguments = [
            builder.trunc(value, expected) if expected is _INT32 else value
            for value, expected in zip(given, kinds, strict=True)
        ]
        result = builder.call(builder.inttoptr(function, kind), [*arguments, *constants])
        return context.get_dummy_value() if returned is _VOID else result

    return number(*[types.int64] * (1 + len(kinds))), generate


@intrinsic
def call(typing_context: Any, function: Any, argument: Any) -> Any:
    """Call a function that takes an address."""
    return _call(_VOID, types.void, (), [_INT64])


@intrinsic
def call_into(typing_context: Any, function: Any, object_: Any, into: Any) -> Any:
    """Call a function that writes about an object into memory, and returns 0 if it could."""
    return _call(_INT32, types.int32, (), [_INT64, _INT64])


@intrinsic
def call_parallel(
    typing_context: Any, parallel: Any, function: Any, argument: Any, threads: Any
) -> Any:
    """Call a function on several threads at once, through OpenMP's entry for compilers."""
    return _call(_VOID, types.void, (_INT32(0),), [_INT64, _INT64, _INT32])


@intrinsic
def added_int32(typing_context: Any, address: Any, number: Any) -> Any:
    """Add to a number of 32 bits that other threads may change too; return what it was."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], _INT32.as_pointer())
        added = builder.trunc(arguments[1], _INT32)
        return builder.atomic_rmw("add", place, added, "acq_rel")

    return types.int32(types.int64, types.int64), generate


@numba.njit(inline="always")
def _mixed(bits: Any) -> Any:
    """Return 64 bits that depend on all 64 bits of the argument: the finalizer of SplitMix64.

    Steele, Lea and Flood, *Fast Splittable Pseudorandom Number Generators*, 2014, Figure 16, with
    the constants of Stafford's variant 13.
    """
    bits = (bits ^ (bits >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> uint64(27))) * uint64(0x94D049BB133111EB)
    return bits ^ (bits >> uint64(31))


@numba.njit(inline="always")
def _bits(seed: int, tensor: int, element: int) -> Any:
    """Return 64 random bits that belong to one element of one tensor."""
    stream = _mixed(uint64(seed) + uint64(0x9E3779B97F4A7C15) * uint64(tensor + 1))
    return _mixed(stream + uint64(0x9E3779B97F4A7C15) * uint64(element + 1))


@numba.njit(inline="always")
def uniform(seed: int, tensor: int, element: int) -> Any:
    """Return a random number in [0, 1), a multiple of 2**-24 as float32 has them."""
    return (_bits(seed, tensor, element) >> uint64(40)) * 2.0**-24


@numba.njit(inline="always")
def normal(seed: int, tensor: int, element: int) -> Any:
    """Return a random number from the standard normal distribution (Box and Muller, 1958)."""
    bits = _bits(seed, tensor, element)
    radius = math.sqrt(-2 * math.log(((bits >> uint64(32)) + 1.0) * 2.0**-32))
    return radius * math.cos(2 * math.pi * ((bits & uint64(0xFFFFFFFF)) * 2.0**-32))
