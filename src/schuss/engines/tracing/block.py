"""Blocks: stand-ins for whole tensors, as functions of matrices take and return them.

A stand-in is one element of a tensor. Where a rule multiplies matrices, decomposes them or selects
rows, all elements take part, and the program is cut (`program/stages.py`). From there on a rule has
blocks in its hands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from math import prod
from typing import Any, NoReturn, cast

import torch
from torch import Tensor

from schuss.engines.errors import UntraceableError
from schuss.engines.program.axes import Axes, own_axes
from schuss.engines.program.stages import TAKEN, Fed
from schuss.engines.tracing.blocks import blocks_of, sizes_of
from schuss.engines.tracing.standin import StandIn
from schuss.engines.tracing.tape import Tape
from schuss.storage.kinds import KIND_OF


class Block:
    """Stands in for a whole tensor while a rule is traced.

    Attributes:
        tape: Where it is written down what is done to it.
        frozen: Whether it may share memory with another tensor, so that nothing is written to it.
        version: How often it was written to.
    """

    __slots__ = ("_element", "_number", "_seen", "frozen", "tape", "version")

    is_sparse = requires_grad = False
    layout = torch.strided

    def __init__(self, tape: Tape, number: int, *, frozen: bool = False) -> None:
        self.tape = tape
        self.frozen = frozen
        self.version = 0
        self._number: int | None = number
        self._element: StandIn | None = None
        self._seen: tuple[Block | StandIn, int] | None = None

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Take a function of torch that a block was given to."""
        return Tape.called(function, args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        """Return a method of tensors, or a property that is a view."""
        if name in ("mT", "mH"):
            return Tape.called(torch.transpose, (self, -1, -2), {})
        if name == "T":
            return Tape.called(torch.permute, (self, tuple(reversed(range(self.dim())))), {})
        function = getattr(Tensor, name, None)
        if name.startswith("__") or not callable(function):
            raise UntraceableError(f"Tensor.{name}")
        return lambda *args, **kwargs: Tape.called(function, (self, *args), kwargs)

    @property
    def number(self) -> int:
        """The number of the block."""
        self._check()
        if self._element is not None and self._number is None:
            self._number = as_block(self._element).number
        return cast("int", self._number)

    @property
    def like(self) -> Tensor:
        """A tensor without memory that is like it."""
        return blocks_of(self.tape).likes[self.number]

    @property
    def element(self) -> StandIn:
        """The stand-in for one of its elements, if it looks like a parameter."""
        self._check()
        if self._element is None:
            axes = _axes_in_order(self)
            if axes is None or self.dtype not in KIND_OF:
                raise UntraceableError("a tensor of another shape or kind among the elements")
            self._element = self.tape.record(
                f"{TAKEN}.{blocks_of(self.tape).before_widening(self.number, self.tape.like)}"
            )
            if tuple(self.shape) != self.tape.dimensions.shape:
                self._element.axes = self.tape.plain(axes)
        return self._element

    def write(self, value: Block | StandIn) -> Block:
        """Take the value of another one, as a tensor does that is written to."""
        if self.frozen:
            raise UntraceableError("writing into a part or another view of a tensor")
        block = as_block(value) if isinstance(value, StandIn) else value
        if block.shape != self.shape:
            raise UntraceableError("writing a tensor of another shape")
        if block.dtype is not self.dtype:
            value = block = Tape.called(Tensor.to, (block, self.dtype), {})
        self.version += 1
        if isinstance(value, StandIn):
            self._element, self._number = self.tape.copy(value), None
        else:
            self._element, self._number = None, block.number
        return self

    def see(self, of: Block | StandIn) -> None:
        """Note that it is the memory of another one, in which nothing is written through it.

        Once that one is written to, nothing can be done with what is noted here any more.
        """
        self.frozen = True
        root = of._seen if type(of) is Block else None
        self._seen = root or (of, _version(of))

    def _check(self) -> None:
        """Refuse what the tensor was before another view of its memory was written to."""
        if self._seen is not None and _version(self._seen[0]) != self._seen[1]:
            raise UntraceableError("a view of a tensor that was written to since")

    @property
    def data(self) -> Block:
        """The same tensor, which outside of autograd this is."""
        return self

    @data.setter
    def data(self, other: Block | StandIn) -> None:
        self.write(other)

    def detach(self) -> Block:
        """Return the same tensor."""
        return self

    @property
    def dtype(self) -> torch.dtype:
        """The precision."""
        return self.like.dtype

    @property
    def device(self) -> torch.device:
        """The device."""
        return self.tape.like.device

    @property
    def shape(self) -> torch.Size:
        """The shape."""
        return self.like.shape

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or one of its dimensions."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """Return the number of dimensions."""
        return self.like.dim()

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.like.dim()

    def numel(self) -> int:
        """Return the number of elements."""
        return self.like.numel()

    def is_complex(self) -> bool:
        """Tell that it is not: a rule sees real numbers."""
        return self.like.is_complex()

    def is_floating_point(self) -> bool:
        """Tell whether it has numbers with a fraction."""
        return self.like.is_floating_point()

    def __len__(self) -> int:
        """Return the first dimension."""
        return len(self.like)

    def __hash__(self) -> int:
        """Return a hash, by identity as that of a tensor."""
        return id(self)


def as_block(x: StandIn) -> Block:
    """Return the block of all elements of what a stand-in stands for, the same one each time."""
    known = blocks_of(x.tape).of_elements
    key = x.value, x.axes
    if key not in known:
        known[key] = _new_block(x)
    return known[key]


def _new_block(x: StandIn) -> Block:
    tape = x.tape
    sizes = sizes_of(tape)
    if tape.is_predicate(x):
        raise UntraceableError("truth values among the operands of a function of whole tensors")
    axes = x.axes
    if axes is None:
        axes = () if tape.is_per_tensor(x) else tape.dimensions.axes or ()
    order = tuple(chain.from_iterable(axes))
    shape = [prod(sizes[axis] for axis in each) for each in axes]
    ordered = tuple(sorted(order))
    whole = shape if ordered == order else [sizes[axis] for axis in ordered]
    like = torch.empty(whole, dtype=tape.like.dtype, device="meta")
    block = Block(tape, blocks_of(tape).number(Fed(x.value, like.dtype), like), frozen=True)
    if block.shape != like.shape:  # it was seen in another shape before
        block = Tape.called(torch.reshape, (block, tuple(whole)), {})
    if ordered != order:
        turned = Tape.called(torch.permute, (block, tuple(map(ordered.index, order))), {})
        block = Tape.called(torch.reshape, (turned, tuple(shape)), {})
    return block


def looks_like_parameter(x: Block) -> bool:
    """Tell whether a block has the numbers of a parameter in their order, as elements have them."""
    return x.dtype in KIND_OF and _axes_in_order(x) is not None


def _axes_in_order(x: Block) -> Axes | None:
    """Return the axes of the dimensions of a block, if these are all of the parameter's in order.

    A dimension of size 1 has none, and one may be several of the parameter's side by side.
    """
    sizes = sizes_of(x.tape)
    left = [axis for axis in own_axes(x.tape.dimensions.axes or ()) if sizes[axis] != 1]
    found: list[tuple[int, ...]] = []
    for size in x.shape:
        axes: list[int] = []
        while left and prod(sizes[axis] for axis in (*axes, left[0])) <= size and size != 1:
            axes.append(left.pop(0))
        if prod(sizes[axis] for axis in axes) != size:
            return None
        found.append(tuple(axes))
    return None if left else tuple(found)


def is_like_element(x: Block) -> bool:
    """Tell whether a block can be a value of a program in place of a stand-in."""
    return looks_like_parameter(x) and x.dtype is x.tape.like.dtype


def _version(x: Block | StandIn) -> int:
    """Return what is another number after something was written."""
    return x.version if type(x) is Block else x.value


def _refuse(what: str) -> Callable[..., NoReturn]:
    def method(*operands: Any) -> NoReturn:
        raise UntraceableError(what)

    return method


_EXCHANGED = {"radd": torch.add, "rmul": torch.mul, "rand": torch.bitwise_and}
_EXCHANGED |= {"ror": torch.bitwise_or, "rxor": torch.bitwise_xor}
"""The functions of operators whose operands may be exchanged."""


def _operator(special: str) -> Callable[..., Any]:
    if special in _EXCHANGED:
        return lambda x, y: Tape.called(_EXCHANGED[special], (x, y), {})
    if special == "rmatmul":
        return lambda y, x: Tape.called(torch.matmul, (x, y), {})
    function = getattr(Tensor, f"__{special}__")
    return lambda *operands: Tape.called(function, operands, {})


for _name in ("bool", "float", "int", "index", "iter", "setitem", "contains"):
    setattr(Block, f"__{_name}__", _refuse("the value of a tensor"))
for _name in (
    *("add", "sub", "mul", "truediv", "pow", "matmul", "radd", "rsub", "rmul", "rtruediv", "rpow"),
    *("rmatmul", "iadd", "isub", "imul", "itruediv", "ipow", "eq", "ne", "lt", "le", "gt", "ge"),
    *("neg", "pos", "abs", "invert", "and", "or", "xor", "rand", "ror", "rxor", "getitem"),
    *("mod", "rmod", "floordiv", "rfloordiv", "imod", "ifloordiv", "iand", "ior", "ixor"),
):
    setattr(Block, f"__{_name}__", _operator(_name))
