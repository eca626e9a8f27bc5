"""The sizes and shapes that a rule sees, which know of which axes they are.

A rule may pass a size on to an operation with a tensor, or to another shape. If it computes with
one, it has to be traced with parameters of one shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn

from schuss.engines.errors import ShapeRead
from schuss.engines.program.axes import Axes

if TYPE_CHECKING:
    from typing_extensions import Self


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


def reshaped(axes: Axes, shape: Sequence[Any], heads: int = 0) -> Axes:
    """Return the axes in a new shape, of sizes of the parameter, ones, `heads`, and one -1.

    Raises:
        TypeError: It cannot be told from the axes that the shape is right.
    """
    order = tuple(chain.from_iterable(axes))
    if order != tuple(sorted(order)):
        raise TypeError("of a transposed tensor")
    found = [
        None if size == -1 else (0,) if type(size) is int and size == heads else size_axes(size)
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
