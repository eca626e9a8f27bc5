"""How the operations of torch, with their arguments, are written as those of a program.

Each takes the tape, the operands (stand-ins, or numbers), and the keywords of torch that it honors.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, Protocol

from torch import Tensor

from schuss.engines.fused.program import Value


class StandIn(Protocol):
    """Stands in for a tensor."""

    value: Value
    like: Tensor


class Tape(Protocol):
    """Where operations are written down."""

    def record(self, operation: str, *operands: Any) -> Value:
        """Add an operation on stand-ins, values and numbers, and return its value."""


def _plain(name: str) -> Callable[..., Value]:
    return lambda tape, *operands: tape.record(name, *operands)


def _add(tape: Tape, x: Any, y: Any, *, alpha: Any = None) -> Value:
    return tape.record("add", x, y) if alpha is None else tape.record("add_scaled", x, y, alpha)


def _sub(tape: Tape, x: Any, y: Any, *, alpha: Any = None) -> Value:
    return tape.record("sub", x, y) if alpha is None else tape.record("add_scaled", x, y, -alpha)


def _rsub(tape: Tape, x: Any, y: Any) -> Value:
    return tape.record("sub", y, x)


def _rdiv(tape: Tape, x: Any, y: Any) -> Value:
    return tape.record("div", y, x)


def _pow(tape: Tape, x: Any, exponent: Any) -> Value:
    # Part of the program, not arguments of it: what exact operations there are for an exponent.
    special = {2: "square", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}
    if isinstance(exponent, Real) and float(exponent) in special:
        return tape.record(special[float(exponent)], x)
    return tape.record("pow", x, exponent)


def _rpow(tape: Tape, x: Any, base: Any) -> Value:
    return tape.record("pow", base, x)


def _addcmul(tape: Tape, x: Any, y: Any, z: Any, *, value: Any = 1.0) -> Value:
    return tape.record("addcmul", x, y, z, value)


def _addcdiv(tape: Tape, x: Any, y: Any, z: Any, *, value: Any = 1.0) -> Value:
    return tape.record("addcdiv", x, y, z, value)


def _clamp(tape: Tape, x: Any, min: Any = None, max: Any = None) -> Value:  # noqa: A002  # torch's
    value: Value = x.value
    if min is not None:
        value = tape.record("clamp_min", x, min)
    if max is not None:
        value = tape.record("clamp_max", value, max)
    return value


def _identity(tape: Tape, x: StandIn, *, memory_format: Any = None) -> Value:
    return x.value


def _copy(tape: Tape, x: StandIn, source: Any, *, non_blocking: bool = False) -> Value:
    value: Value | None = getattr(source, "value", None)
    return tape.record("full", x, source) if value is None else value


def _to(tape: Tape, x: StandIn, dtype: Any = None, **others: Any) -> Value:
    if dtype is not x.like.dtype or others:
        raise TypeError("only to the dtype that it has")
    return x.value


def _full(tape: Tape, x: Any, number: Any, *, memory_format: Any = None) -> Value:
    return tape.record("full", x, number)


def _filled(number: float) -> Callable[..., Value]:
    return lambda tape, x, *, memory_format=None: tape.record("full", x, number)


_SAME = (
    "abs atan2 clamp_max clamp_min eq exp ge gt le lerp log logical_and logical_not "
    "logical_or lt maximum minimum mul ne neg reciprocal rsqrt sign sqrt square tanh where"
)
OPERATIONS: dict[str, Callable[..., Value]] = {
    **{name: _plain(name) for name in _SAME.split()},
    "add": _add,
    "addcdiv": _addcdiv,
    "addcmul": _addcmul,
    "clamp": _clamp,
    "clip": _clamp,
    "clone": _identity,
    "contiguous": _identity,
    "copy": _copy,
    "detach": _identity,
    "div": _plain("div"),
    "fill": _full,
    "full_like": _full,
    "max": _plain("maximum"),
    "min": _plain("minimum"),
    "multiply": _plain("mul"),
    "ones_like": _filled(1.0),
    "pow": _pow,
    "rdiv": _rdiv,
    "rpow": _rpow,
    "rsub": _rsub,
    "sub": _sub,
    "to": _to,
    "true_divide": _plain("div"),
    "truediv": _plain("div"),
    "zero": _filled(0.0),
    "zeros_like": _filled(0.0),
}
"""The operations of torch that can be traced, by name without underscores."""
