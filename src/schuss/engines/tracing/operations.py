"""How the operations of torch, with their arguments, are written as those of a program.

Each takes the tape, the operands (stand-ins, or numbers), and the keywords of torch that it honors.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, Protocol

import torch


class StandIn(Protocol):
    """Stands in for a tensor."""

    @property
    def value(self) -> int:
        """The number of its value."""

    @property
    def dtype(self) -> torch.dtype:
        """The precision that the rule sees."""


class Tape(Protocol):
    """Where operations are written down."""

    def record(self, operation: str, *operands: Any) -> Any:
        """Add an operation on stand-ins and numbers, and return the stand-in for its value."""

    def copy(self, x: Any) -> Any:
        """Return another stand-in with the same value."""

    def is_per_tensor(self, x: Any) -> bool:
        """Tell whether a value is one number for a tensor."""

    def is_predicate(self, x: Any) -> bool:
        """Tell whether a value is true or false."""

    def count(self) -> Any:
        """Return the number of elements, as an operand."""


def _plain(name: str) -> Callable[..., StandIn]:
    def operation(tape: Tape, *operands: Any) -> Any:
        return tape.record(name, *operands)

    return operation


def _add(tape: Tape, x: Any, y: Any, *, alpha: Any = None) -> Any:
    return tape.record("add", x, y) if alpha is None else tape.record("add_scaled", x, y, alpha)


def _sub(tape: Tape, x: Any, y: Any, *, alpha: Any = None) -> Any:
    return tape.record("sub", x, y) if alpha is None else tape.record("add_scaled", x, y, -alpha)


def _rsub(tape: Tape, x: Any, y: Any) -> Any:
    return tape.record("sub", y, x)


def _rdiv(tape: Tape, x: Any, y: Any) -> Any:
    return tape.record("div", y, x)


def _pow(tape: Tape, x: Any, exponent: Any) -> Any:
    # Part of the program, not arguments of it: what exact operations there are for an exponent.
    special = {1: None, 2: "square", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}
    if isinstance(exponent, Real) and float(exponent) in special:
        name = special[float(exponent)]
        return tape.copy(x) if name is None else tape.record(name, x)
    return tape.record("pow", x, exponent)


def _rpow(tape: Tape, x: Any, base: Any) -> Any:
    return tape.record("pow", base, x)


def _addcmul(tape: Tape, x: Any, y: Any, z: Any, *, value: Any = 1.0) -> Any:
    return tape.record("addcmul", x, y, z, value)


def _addcdiv(tape: Tape, x: Any, y: Any, z: Any, *, value: Any = 1.0) -> Any:
    return tape.record("addcdiv", x, y, z, value)


def _clamp(tape: Tape, x: Any, min: Any = None, max: Any = None) -> Any:  # noqa: A002  # torch's
    if min is not None:
        x = tape.record("clamp_min", x, min)
    return x if max is None else tape.record("clamp_max", x, max)


def _copied(tape: Tape, x: Any, *, memory_format: Any = None) -> Any:
    return tape.copy(x)


def _copy(tape: Tape, x: Any, source: Any, *, non_blocking: bool = False) -> Any:
    if not hasattr(source, "tape") or tape.is_per_tensor(source):
        return tape.record("full", x, source)
    return tape.copy(source)


def _full(tape: Tape, x: Any, number: Any, *, memory_format: Any = None) -> Any:
    return tape.record("full", x, number)


def _filled(number: float) -> Callable[..., Any]:
    return lambda tape, x, *, memory_format=None: tape.record("full", x, number)


def _nothing_but(*dims: Any, keepdim: Any = False, dtype: Any = None) -> None:
    if any(dim is not None and dim != () for dim in dims) or keepdim or dtype is not None:
        raise TypeError("only over all elements")


def _reduced(tape: Tape, name: str, x: Any) -> Any:
    # What is one number already is its own sum, and the largest of itself.
    return tape.copy(x) if tape.is_per_tensor(x) else tape.record(name, x)


def _sum(tape: Tape, x: Any, dim: Any = None, **others: Any) -> Any:
    _nothing_but(dim, **others)
    return _reduced(tape, "sum", x)


def _mean(tape: Tape, x: Any, dim: Any = None, **others: Any) -> Any:
    total = _sum(tape, x, dim, **others)
    return total if tape.is_per_tensor(x) else tape.record("div", total, tape.count())


def _largest(tape: Tape, x: Any, dim: Any = None, **others: Any) -> Any:
    _nothing_but(dim, **others)
    return _reduced(tape, "amax", x)


def _smallest(tape: Tape, x: Any, dim: Any = None, **others: Any) -> Any:
    _nothing_but(dim, **others)
    return _reduced(tape, "amin", x)


def _max(tape: Tape, x: Any, other: Any = None) -> Any:
    return _reduced(tape, "amax", x) if other is None else tape.record("maximum", x, other)


def _min(tape: Tape, x: Any, other: Any = None) -> Any:
    return _reduced(tape, "amin", x) if other is None else tape.record("minimum", x, other)


def _dot(tape: Tape, x: Any, y: Any) -> Any:
    return _reduced(tape, "sum", tape.record("mul", x, y))


def _norm(tape: Tape, x: Any, p: Any = 2, dim: Any = None, **others: Any) -> Any:
    _nothing_but(dim, **others)
    if p in (2, "fro", None):
        return tape.record("sqrt", _reduced(tape, "sum", tape.record("square", x)))
    if p == 1:
        return _reduced(tape, "sum", tape.record("abs", x))
    if p == float("inf"):
        return _reduced(tape, "amax", tape.record("abs", x))
    raise TypeError(f"norm of order {p}; there are 1, 2 and infinity")


def _vector_norm(tape: Tape, x: Any, ord: Any = 2, dim: Any = None, **others: Any) -> Any:  # noqa: A002  # torch's
    return _norm(tape, x, ord, dim, **others)


def _drawn(name: str) -> Callable[..., Any]:
    def operation(tape: Tape, x: Any, *, memory_format: Any = None) -> Any:
        if tape.is_per_tensor(x):
            raise TypeError("only for every element of a parameter")
        # From torch's generator, so that torch.manual_seed makes a run repeatable.
        return tape.record(name, float(torch.randint(1 << 53, ())))

    return operation


_SAME = (
    "abs atan2 clamp_max clamp_min eq exp ge gt le lerp log logical_and logical_not "
    "logical_or lt maximum minimum mul ne neg reciprocal rsqrt sign sqrt square tanh where"
)
OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: _plain(name) for name in _SAME.split()},
    "add": _add,
    "addcdiv": _addcdiv,
    "addcmul": _addcmul,
    "amax": _largest,
    "amin": _smallest,
    "clamp": _clamp,
    "clip": _clamp,
    "clone": _copied,
    "copy": _copy,
    "div": _plain("div"),
    "dot": _dot,
    "fill": _full,
    "full_like": _full,
    "linalg_vector_norm": _vector_norm,
    "max": _max,
    "mean": _mean,
    "min": _min,
    "multiply": _plain("mul"),
    "norm": _norm,
    "ones_like": _filled(1.0),
    "pow": _pow,
    "rand_like": _drawn("uniform"),
    "randn_like": _drawn("normal"),
    "rdiv": _rdiv,
    "rpow": _rpow,
    "rsub": _rsub,
    "sub": _sub,
    "sum": _sum,
    "true_divide": _plain("div"),
    "truediv": _plain("div"),
    "vdot": _dot,
    "zero": _filled(0.0),
    "zeros_like": _filled(0.0),
}
"""The operations of torch that can be traced, by name without underscores at the end."""


def _detach(x: Any) -> Any:
    return x


def _contiguous(x: Any, memory_format: Any = None) -> Any:
    # A copy or the tensor itself, as it happens: as long as nobody writes to it, the same.
    return x.tape.copy(x, frozen="a tensor made contiguous")


def _flat(x: Any, *shape: Any) -> Any:
    if shape not in ((), (-1,), ((-1,),)):
        raise TypeError("only to one dimension")
    return x.tape.copy(x, frozen="a flattened tensor")


def _to(x: Any, target: Any = None, *, dtype: Any = None, **others: Any) -> Any:
    target = target if dtype is None else dtype
    wanted = getattr(target, "dtype", target)
    if wanted is not x.dtype or others:
        raise TypeError("only to the dtype that it has")
    # Truth values become numbers, which are another tensor.
    return x.tape.copy(x) if x.tape.is_predicate(x) else x


def _converted(dtype: torch.dtype) -> Callable[..., Any]:
    return lambda x: _to(x, dtype)


VIEWS: dict[str, Callable[..., Any]] = {
    "contiguous": _contiguous,
    "detach": _detach,
    "detach_": _detach,
    "double": _converted(torch.float64),
    "flatten": _flat,
    "float": _converted(torch.float32),
    "ravel": _flat,
    "reshape": _flat,
    "to": _to,
    "type_as": _to,
    "view": _flat,
}
"""Methods that give the same tensor in another form, or none."""
