"""Methods that give the same numbers in another shape, another precision, or as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from schuss.engines.errors import HeadsRead, UntraceableError
from schuss.engines.program.axes import Axes, broadcast, positions
from schuss.engines.tracing.sizes import reshaped
from schuss.storage.kinds import KINDS

FLAT = ((), (-1,), ((-1,),))
"""The arguments that ask for one dimension."""


def _detach(x: Any) -> Any:
    return x


def _contiguous(x: Any, memory_format: Any = None) -> Any:
    # A copy or the tensor itself, as it happens: as long as nobody writes to it, the same.
    return x.tape.seen_as(x, x.axes, "a tensor made contiguous")


def _flat(x: Any, *shape: Any) -> Any:
    if shape not in FLAT:
        raise TypeError("only to one dimension")
    return _reshaped(x, -1)


def _reshaped(x: Any, *shape: Any) -> Any:
    dimensions = x.tape.dimensions
    if x.axes is None and dimensions.axes is None and shape in FLAT:
        return x.tape.seen_as(x, None, "a flattened tensor")
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
    axes = x.tape.axes_of(x)
    first = sizes[0] if len(sizes) else 1
    if x.shape and type(first) is int and dimensions.sizes is not None and first == x.shape[0]:
        first, sizes = x.shape[0], (x.shape[0], *sizes[1:])  # which knows its axes
    if dimensions.heads == 0 and axes == dimensions.axes and type(first) is int and first > 1:
        raise HeadsRead(first)
    found = reshaped(axes, sizes, dimensions.heads or 0)
    return x.tape.seen_as(x, found, "a tensor in another shape")


def _reshaped_as(x: Any, other: Any) -> Any:
    return _reshaped(x, *other.shape)


def _seen_as(change: Callable[..., Axes]) -> Callable[..., Any]:
    def view(x: Any, *args: Any) -> Any:
        return x.tape.seen_as(x, change(x.tape.axes_of(x), *args), "a tensor in another shape")

    return view


def _unsqueezed(axes: Axes, dim: int) -> Axes:
    at = positions((*axes, ()), dim)
    return (*axes[:at], (), *axes[at:])


def _squeezed(axes: Axes, dim: int) -> Axes:
    at = positions(axes, dim)
    if axes and axes[at]:
        raise TypeError("a dimension of any size")
    return (*axes[:at], *axes[at + 1 :])


def _transposed(axes: Axes, one: int, other: int) -> Axes:
    found = list(axes)
    one, other = positions(axes, one), positions(axes, other)
    found[one], found[other] = found[other], found[one]
    return tuple(found)


def _turned(axes: Axes) -> Axes:
    return _transposed(axes, -1, -2) if len(axes) > 1 else axes


def _expanded(x: Any, other: Any) -> Any:
    axes = x.tape.axes_of(other)
    if broadcast([axes, x.tape.axes_of(x)]) != axes:
        raise TypeError("to a tensor that does not have its dimensions")
    return x.tape.copy(x.tape.record("full", other, x), frozen="an expanded tensor")


def indexed(x: Any, at: Any) -> Any:
    """Return a tensor with dimensions of size 1 between its own.

    Raises:
        UntraceableError: A part of the tensor is asked for.
    """
    items = at if isinstance(at, tuple) else (at,)
    whole = [isinstance(item, slice) and item == slice(None) for item in items]
    if not all(w or item is None or item is Ellipsis for w, item in zip(whole, items, strict=True)):
        raise UntraceableError("a part of a tensor")
    axes = list(x.tape.axes_of(x))
    rest = len(axes) - sum(whole)
    if Ellipsis not in items:
        items = (*items, Ellipsis)
    found: list[tuple[int, ...]] = []
    for item in items:
        if item is None:
            found.append(())
        else:
            count = rest if item is Ellipsis else 1
            found += [axes.pop(0) for _ in range(count)]
    return x.tape.seen_as(x, tuple(found), "a tensor in another shape")


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
    **{kind.method: _converted(kind.dtype) for kind in KINDS.values() if not kind.is_rounded},
    "contiguous": _contiguous,
    "detach": _detach,
    "detach_": _detach,
    "expand_as": _expanded,
    "flatten": _flat,
    "ravel": _flat,
    "reshape": _reshaped,
    "reshape_as": _reshaped_as,
    "squeeze": _seen_as(_squeezed),
    "t": _seen_as(_turned),
    "to": _to,
    "transpose": _seen_as(_transposed),
    "type_as": _to,
    "unsqueeze": _seen_as(_unsqueezed),
    "view": _reshaped,
    "view_as": _reshaped_as,
}
"""Methods that give the same tensor in another form, or none."""
