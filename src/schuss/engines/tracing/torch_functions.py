"""How the operations of torch, with their arguments, are written as those of a program.

Each takes the tape, the operands (stand-ins, or numbers), and the keywords of torch that it honors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from schuss.engines.program.axes import own_axes
from schuss.engines.program.operations import POWERS
from schuss.engines.tracing.sizes import size_axes

if TYPE_CHECKING:
    from schuss.engines.tracing.standin import StandIn
    from schuss.engines.tracing.tape import Tape


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
    # An exponent with an exact operation is part of the program, not an argument of it.
    for power, name in POWERS.items() if isinstance(exponent, Real) else ():
        if exponent == power:
            return tape.record(name, x) if name else tape.copy(x)
    return tape.record("pow", x, exponent)


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
    if source.axes != x.axes:  # repeated along the others, if it fits
        return tape.record("full", x, source)
    return tape.copy(source)


def _full(tape: Tape, x: Any, number: Any, *, memory_format: Any = None) -> Any:
    return tape.record("full", x, number)


def _filled(number: float) -> Callable[..., Any]:
    return lambda tape, x, *, memory_format=None: tape.record("full", x, number)


def _new(number: float) -> Callable[..., Any]:
    def operation(tape: Tape, x: Any, *shape: Any, dtype: Any = None, device: Any = None) -> Any:
        if (dtype or x.dtype) is not x.dtype or (device or x.device) != x.device:
            raise TypeError("only with the dtype and the device that it has")
        sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
        return tape.spread(number, tuple(map(size_axes, sizes)))

    return operation


def _dims(dim: Any) -> tuple[int, ...]:
    if dim is None:
        return ()
    return (dim,) if isinstance(dim, int) else tuple(dim)


def _reduction(name: str) -> Callable[..., Any]:
    def operation(
        tape: Tape,
        x: Any,
        dim: Any = None,
        keepdim: bool = False,  # noqa: FBT001, FBT002  # torch's
        *,
        dtype: Any = None,
    ) -> Any:
        if dtype not in (None, x.dtype):
            raise TypeError("only with the dtype that it has")
        return tape.reduce(name, x, _dims(dim), keepdim=keepdim)

    return operation


_sum, _largest, _smallest = map(_reduction, ("sum", "amax", "amin"))


def _mean(
    tape: Tape,
    x: Any,
    dim: Any = None,
    keepdim: bool = False,  # noqa: FBT001, FBT002  # torch's
    *,
    dtype: Any = None,
) -> Any:
    total = _sum(tape, x, dim, keepdim, dtype=dtype)
    if tape.is_per_tensor(x):
        return total
    if x.axes is None and tape.is_per_tensor(total):
        return tape.record("div", total, tape.count())
    gone = set(own_axes(tape.axes_of(x))) - set(own_axes(tape.axes_of(total)))
    return tape.record("div", total, tape.size(sorted(gone))) if gone else total


def _max(tape: Tape, x: Any, other: Any = None) -> Any:
    return _extreme(tape, "amax", "maximum", x, other)


def _min(tape: Tape, x: Any, other: Any = None) -> Any:
    return _extreme(tape, "amin", "minimum", x, other)


def _extreme(tape: Tape, alone: str, of_two: str, x: Any, other: Any) -> Any:
    if isinstance(other, int):
        raise TypeError("along a dimension it would give indices too; amax and amin do not")
    if other is None:
        return tape.reduce(alone, x, (), keepdim=False)
    return tape.record(of_two, x, other)


def _matmul(tape: Tape, x: Any, y: Any) -> Any:
    one, other = tape.axes_of(x), tape.axes_of(y)
    if len(one) < 2 or len(other) < 2 or one[-1] or other[-2]:
        raise TypeError("but of a column and a row")
    return tape.record("mul", x, y)


def _outer(tape: Tape, x: Any, y: Any) -> Any:
    (one,) = tape.axes_of(x)
    return tape.record("mul", tape.seen_as(x, (one, ()), "an operand"), y)


def _dot(tape: Tape, x: Any, y: Any) -> Any:
    return _sum(tape, tape.record("mul", x, y))


def _norm(
    tape: Tape,
    x: Any,
    p: Any = 2,
    dim: Any = None,
    keepdim: bool = False,  # noqa: FBT001, FBT002  # torch's
    *,
    dtype: Any = None,
) -> Any:
    if tape.is_single(x) and p in (1, 2, "fro", None):  # a square may be too large, or too small
        p = float("inf")
    if p in (2, "fro", None):
        return tape.record("sqrt", _sum(tape, tape.record("square", x), dim, keepdim, dtype=dtype))
    if p == 1:
        return _sum(tape, tape.record("abs", x), dim, keepdim, dtype=dtype)
    if p == float("inf"):
        return _largest(tape, tape.record("abs", x), dim, keepdim, dtype=dtype)
    raise TypeError(f"norm of order {p}; there are 1, 2 and infinity")


def _vector_norm(tape: Tape, x: Any, ord: Any = 2, dim: Any = None, **others: Any) -> Any:  # noqa: A002  # torch's
    return _norm(tape, x, ord, dim, **others)


def _matrix_norm(
    tape: Tape,
    x: Any,
    ord: Any = "fro",  # noqa: A002  # torch's
    dim: Any = (-2, -1),
    keepdim: bool = False,  # noqa: FBT001, FBT002  # torch's
    *,
    dtype: Any = None,
) -> Any:
    if ord != "fro":
        raise TypeError(f"norm of order {ord}; there is 'fro'")
    return _norm(tape, x, 2, dim, keepdim, dtype=dtype)


def _drawn(name: str) -> Callable[..., Any]:
    def operation(tape: Tape, x: Any, *, memory_format: Any = None) -> Any:
        if tape.is_per_tensor(x):
            raise TypeError("only for every element of a parameter")
        return tape.record(name, tape.drawn())

    return operation


_SAME = (
    "abs atan2 clamp_max clamp_min eq exp ge gt le lerp log logical_and logical_not "
    "logical_or lt maximum minimum mul ne neg reciprocal rsqrt sign sqrt square tanh where"
)
TORCH_FUNCTIONS: dict[str, Callable[..., Any]] = {
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
    "linalg_matrix_norm": _matrix_norm,
    "linalg_vector_norm": _vector_norm,
    "matmul": _matmul,
    "max": _max,
    "mean": _mean,
    "min": _min,
    "multiply": _plain("mul"),
    "new_ones": _new(1.0),
    "new_zeros": _new(0.0),
    "norm": _norm,
    "mm": _matmul,
    "ones_like": _filled(1.0),
    "outer": _outer,
    "pow": _pow,
    "rand_like": _drawn("uniform"),
    "randn_like": _drawn("normal"),
    "rdiv": _rdiv,
    "rpow": lambda tape, x, base: tape.record("pow", base, x),
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
