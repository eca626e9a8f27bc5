"""Which dimensions of its parameter the dimensions of a tensor are.

A mean over rows has fewer dimensions than its parameter, or some of size 1. So each dimension of a
tensor is written as the axes of the parameter that it runs over: `((0,), (1,))` is a matrix like
its parameter, `((0,),)` one number for each row, `((0,), ())` the same with `keepdim=True`, and
`((0, 1),)` a flattened matrix. No sizes are needed for that, so matrices of all shapes have one
trace. A rule whose dimensions fit by their axes does what it does with real tensors.

A dimension of size 1 has no axis, also in the parameter: the weights of a convolution with kernels
of one pixel are a matrix, and the mean of a kernel is the kernel. A first dimension that a rule
divides into equal parts (the heads of an attention) is made of two axes, `((0, 1), (2,))`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    pass

Axes: TypeAlias = tuple[tuple[int, ...], ...]
"""For each dimension of a tensor the axes of its parameter, in order."""


class Layout(NamedTuple):
    """The axes that the dimensions of a parameter are made of.

    Attributes:
        sizes: The size of each axis.
        axes: The axes of each dimension.
        heads: Into how many equal parts the first dimension is divided; 0 if it is not, None if it
            cannot be.
    """

    sizes: tuple[int, ...]
    axes: Axes
    heads: int | None

    def shape(self, axes: Axes) -> tuple[int, ...]:
        """Return the shape of a tensor with some of the axes."""
        return tuple(prod(self.sizes[axis] for axis in each) for each in axes)


def layout(shape: Sequence[int], heads: int = 0) -> Layout:
    """Return what the dimensions of a parameter are made of.

    Args:
        shape: Its shape. If all sizes are 1, these count.
        heads: Into how many equal parts to divide the first dimension, if that is possible.
    """
    divided = bool(heads and shape) and shape[0] % heads == 0
    sizes = (heads, shape[0] // heads, *shape[1:]) if divided else tuple(shape)
    each = all_axes(len(sizes))
    dims = ((0, 1), *each[2:]) if divided else each
    single = all(size == 1 for size in sizes)
    axes = (tuple(axis for axis in dim if single or sizes[axis] != 1) for dim in dims)
    return Layout(sizes, tuple(axes), heads if divided or not heads else None)


def all_axes(dims: int) -> Axes:
    """Return the axes of dimensions that are made of one axis each."""
    return tuple((axis,) for axis in range(dims))


def own_axes(axes: Axes) -> tuple[int, ...]:
    """Return the axes along which a tensor has numbers of its own."""
    return tuple(sorted(chain.from_iterable(axes)))


def broadcast(many: Sequence[Axes]) -> Axes:
    """Return the axes of what an operation makes of several tensors.

    Raises:
        TypeError: They do not fit, whatever the sizes.
    """
    length = max(map(len, many))
    padded = [((),) * (length - len(axes)) + axes for axes in many]
    found: list[tuple[int, ...]] = []
    for aligned in zip(*padded, strict=True):
        different = set(aligned) - {()}
        if len(different) > 1:
            raise TypeError("dimensions of different meaning meet")
        found.append(different.pop() if different else ())
    if len(set(chain.from_iterable(found))) < sum(map(len, found)):
        raise TypeError("one dimension is met twice")
    return tuple(found)


def reduced(axes: Axes, dims: Iterable[int], *, keepdim: bool) -> Axes:
    """Return the axes that remain after a reduction over some dimensions."""
    gone = {positions(axes, dim) for dim in dims}
    if keepdim:
        return tuple(() if at in gone else axis for at, axis in enumerate(axes))
    return tuple(axis for at, axis in enumerate(axes) if at not in gone)


def positions(axes: Axes, dim: int) -> int:
    """Return the number of a dimension, which may be counted from the end.

    Raises:
        TypeError: There is no such dimension.
    """
    if not -len(axes) <= dim < max(len(axes), 1):
        raise TypeError(f"dimension {dim} of {len(axes)}")
    return dim % max(len(axes), 1)


def fitting(shape: Sequence[int], whole: Layout) -> list[Axes]:
    """Return all axes that a tensor can have beside a parameter.

    Those with the most axes come first. A tensor of as many dimensions has them where its parameter
    does.
    """
    found: list[tuple[tuple[int, ...], ...]] = [()]
    for size in shape:
        found = [
            (*axes, more)
            for axes in found
            for more in [
                *(each for each in _places(axes, shape, whole) if whole.shape((each,)) == (size,)),
                *([()] if size == 1 else []),
            ]
        ]
    return sorted(found, key=lambda axes: -len(own_axes(axes)))


def _places(before: Axes, shape: Sequence[int], whole: Layout) -> Iterable[tuple[int, ...]]:
    """Return the axes that a dimension may have after those before it."""
    first, dims = 0, whole.axes
    if len(shape) == len(dims):
        dims = (dims[len(before)],)
    else:
        first = max(chain.from_iterable(before), default=-1) + 1
    each = ((axis,) for axis in chain.from_iterable(dims))
    return (axes for axes in dict.fromkeys((*dims, *each)) if axes and axes[0] >= first)
