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

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeAlias

from schuss.engines.tracing.errors import ShapeRead

if TYPE_CHECKING:
    from typing_extensions import Self

Axes: TypeAlias = tuple[tuple[int, ...], ...]
"""For each dimension of a tensor the axes of its parameter, in order."""


class Layout(NamedTuple):
    """What the dimensions of a parameter are made of.

    Attributes:
        sizes: The size of each axis.
        axes: The axes of each dimension.
        parts: Into how many equal parts the first dimension is divided; 0 if it is not, None if it
            cannot be.
    """

    sizes: tuple[int, ...]
    axes: Axes
    parts: int | None

    def shape(self, axes: Axes) -> tuple[int, ...]:
        """Return the shape of a tensor with some of the axes."""
        return tuple(prod(self.sizes[axis] for axis in each) for each in axes)


def layout(shape: Sequence[int], parts: int = 0) -> Layout:
    """Return what the dimensions of a parameter are made of.

    Args:
        shape: Its shape. If all sizes are 1, these count.
        parts: Into how many equal parts to divide the first dimension, if that is possible.
    """
    divided = bool(parts and shape) and shape[0] % parts == 0
    sizes = (parts, shape[0] // parts, *shape[1:]) if divided else tuple(shape)
    each = all_axes(len(sizes))
    dims = ((0, 1), *each[2:]) if divided else each
    single = all(size == 1 for size in sizes)
    axes = (tuple(axis for axis in dim if single or sizes[axis] != 1) for dim in dims)
    return Layout(sizes, tuple(axes), parts if divided or not parts else None)


def all_axes(dims: int) -> Axes:
    """Return the axes of dimensions that are made of one axis each."""
    return tuple((axis,) for axis in range(dims))


def kept(axes: Axes) -> tuple[int, ...]:
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


def reshaped(axes: Axes, shape: Sequence[Any], parts: int = 0) -> Axes:
    """Return the axes in a new shape, of sizes of the parameter, ones, `parts`, and one -1.

    Raises:
        TypeError: It cannot be told from the axes that the shape is right.
    """
    order = tuple(chain.from_iterable(axes))
    if order != tuple(sorted(order)):
        raise TypeError("of a transposed tensor")
    found = [
        None if size == -1 else (0,) if type(size) is int and size == parts else size_axes(size)
        for size in shape
    ]
    named = set(chain.from_iterable(filter(None, found)))
    rest = tuple(axis for axis in order if axis not in named)
    result = tuple(rest if each is None else each for each in found)
    if tuple(chain.from_iterable(result)) != order:
        raise TypeError("to a shape that is not made of its dimensions")
    return result


def size_axes(size: Any) -> tuple[int, ...]:
    """Return the axes that a size is of."""
    if isinstance(size, (Size, UnknownSize)):
        return size.axes
    if size == 1:
        return ()
    raise TypeError(f"the size {size!r} is not of a dimension")


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
    return sorted(found, key=lambda axes: -len(kept(axes)))


def _places(before: Axes, shape: Sequence[int], whole: Layout) -> Iterable[tuple[int, ...]]:
    """Return the axes that a dimension may have after those before it."""
    first, dims = 0, whole.axes
    if len(shape) == len(dims):
        dims = (dims[len(before)],)
    else:
        first = max(chain.from_iterable(before), default=-1) + 1
    each = ((axis,) for axis in chain.from_iterable(dims))
    return (axes for axes in dict.fromkeys((*dims, *each)) if axes and axes[0] >= first)


class Size(int):
    """A size that is known, and of which axes it is."""

    axes: tuple[int, ...]

    def __new__(cls, size: int, axes: tuple[int, ...]) -> Self:
        """Make a number that knows its axes."""
        made = super().__new__(cls, size)
        made.axes = axes
        return made


class UnknownSize:
    """A size that only an operation with a tensor, or another shape, may use."""

    __slots__ = ("axes",)

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the size of the same axes; no other is known to be equal."""
        if isinstance(other, UnknownSize) and other.axes == self.axes:
            return True
        if other == -1:
            return False
        raise ShapeRead

    def __hash__(self) -> int:
        """Return a hash by the axes."""
        return hash(self.axes)


def _read(self: UnknownSize, *others: object) -> NoReturn:
    raise ShapeRead


for _name in (
    *("index", "int", "float", "bool", "add", "radd", "sub", "rsub", "mul", "rmul", "truediv"),
    *("rtruediv", "floordiv", "rfloordiv", "mod", "rmod", "pow", "rpow", "neg", "lt", "le"),
    *("gt", "ge", "round", "trunc", "abs", "format", "str"),
):
    setattr(UnknownSize, f"__{_name}__", _read)


class Shape(tuple[Any, ...]):
    """A shape whose sizes know their axes, and need not be known."""

    __slots__ = ()

    def numel(self) -> int:
        """Return the product of the sizes.

        Raises:
            ShapeRead: They are not known.
        """
        number = 1
        for size in self:
            if isinstance(size, UnknownSize):
                raise ShapeRead
            number *= int(size)
        return number

    def __getitem__(self, at: Any) -> Any:
        """Return a size, or a part of the shape."""
        found = super().__getitem__(at)
        return Shape(found) if isinstance(at, slice) else found

    def __add__(self, other: Any) -> Shape:
        """Return a longer shape."""
        return Shape((*self, *other))


def shape_of(axes: Axes, sizes: Sequence[int] | None) -> Shape:
    """Return the shape of a tensor.

    Args:
        axes: Its axes.
        sizes: The shape of its parameter, if it is known.
    """
    return Shape(_sizes(axes, sizes))


def _sizes(axes: Axes, sizes: Sequence[int] | None) -> Iterator[Any]:
    for each in axes:
        if not each:
            yield 1
        elif sizes is None:
            yield UnknownSize(each)
        else:
            number = 1
            for axis in each:
                number *= sizes[axis]
            yield Size(number, each)
