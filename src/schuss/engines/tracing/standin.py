"""Stand-ins for tensors: they write down what is done to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

import torch

from schuss.engines.errors import DimensionsRead, PerTensorState, UntraceableError, withdraw
from schuss.engines.program.axes import Axes
from schuss.engines.tracing.names import WHOLE, function_of_torch, in_place_name
from schuss.engines.tracing.operators import OTHERS, add_methods
from schuss.engines.tracing.sizes import Shape, shape_of
from schuss.engines.tracing.tape import Tape
from schuss.engines.tracing.torch_functions import TORCH_FUNCTIONS
from schuss.engines.tracing.torch_views import VIEWS, indexed


class StandIn:
    """Stands in for a tensor while a rule is traced; `value` changes where the tensor would.

    Attributes:
        tape: Where it is written down what is done to it.
        value: The number of its value.
        frozen: Its name in the error for writing to it, or None if that is allowed.
        axes: Its axes; None for those of its parameter, and for a single number.
        views: Stand-ins for the same memory in other shapes, which follow when it is written to.
    """

    __slots__ = ("axes", "frozen", "tape", "value", "views")

    is_sparse = requires_grad = False
    layout = torch.strided

    def __init__(self, tape: Tape, value: int, frozen: str | None = None) -> None:
        self.tape = tape
        self.value = value
        self.frozen = frozen
        self.axes: Axes | None = None
        self.views: list[StandIn] | None = None

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Take a function of torch, or a method of a real tensor, that a stand-in was given to."""
        name = function.__name__
        in_place = in_place_name(name) is not None
        if in_place and args and type(args[0]) is not StandIn:
            raise _written(name, args[0], args[1:], kwargs)
        method = METHODS.get(name if in_place else name.strip("_"))
        takes_whole = name.strip("_") in WHOLE or hasattr(function, "takes_stacks")
        if method is None and takes_whole:
            return Tape.called(function, args, kwargs or {})
        if method is None or not args:
            raise UntraceableError(f"torch.{name}" if args else f"torch.{name} without operands")
        return method(*args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        """Return a method of whole tensors, and refuse what is not known."""
        if name in WHOLE:
            return partial(StandIn._called, self, function_of_torch(name))
        raise UntraceableError(f"Tensor.{name}")

    def _called(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self.tape.called(function, (self, *args), kwargs)

    def overwrite(self, other: StandIn) -> StandIn:
        """Take the value of another one, as a tensor does that is written to."""
        if self.frozen:
            raise UntraceableError(f"writing into {self.frozen}")
        if other.axes != self.axes:
            raise UntraceableError("writing a tensor of another shape")
        self.write(other.value)
        return self

    def write(self, value: int) -> None:
        """Take a value, in all views of the same memory."""
        self.value = value
        for view in self.views or ():
            view.value = value

    @property
    def data(self) -> StandIn:
        """The same tensor, which outside of autograd this is."""
        return self

    @data.setter
    def data(self, other: StandIn) -> None:
        self.overwrite(other)

    @property
    def dtype(self) -> torch.dtype:
        """The precision that the rule sees."""
        return self.tape.like.dtype

    @property
    def device(self) -> torch.device:
        """The device."""
        return self.tape.like.device

    def dim(self) -> int:
        """Return the number of dimensions. A trace that reads it is of tensors that agree in it."""
        if self.axes is not None:
            return len(self.axes)
        if self.tape.is_per_tensor(self):
            return 0
        axes = self.tape.dimensions.axes
        if axes is None:
            raise DimensionsRead(along=False)
        return len(axes)

    @property
    def shape(self) -> Shape:
        """The shape. A trace that computes with its sizes is of tensors of one shape."""
        axes = self.axes
        if axes is None and self.dim():
            axes = self.tape.dimensions.axes
        return shape_of(axes or (), self.tape.dimensions.sizes)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.dim()

    @property
    def mT(self) -> StandIn:  # noqa: N802  # torch's
        """The transposed tensor."""
        return VIEWS["t"](self)  # type: ignore[no-any-return]

    T = mT

    def numel(self) -> int:
        """Return the number of elements."""
        return self.shape.numel()

    nelement = numel

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or one of its dimensions."""
        return self.shape if dim is None else self.shape[dim]

    def is_complex(self) -> bool:
        """Tell that it is not: a rule sees real numbers."""
        return False

    def is_floating_point(self) -> bool:
        """Tell that it is."""
        return True

    def __len__(self) -> int:
        """Return the first dimension."""
        return int(self.shape[0])

    def __getitem__(self, at: Any) -> Any:
        """Return the tensor with dimensions of size 1 between its own, or a part as a block."""
        try:
            return indexed(self, at)
        except UntraceableError as refusal:
            withdraw(refusal)
            return self._called(torch.Tensor.__getitem__, at)

    def __format__(self, specification: str) -> str:
        """Refuse to format the value; without a specification it is not asked for."""
        if specification:
            raise UntraceableError("the value of a tensor")
        return str(self)


def _has_block(operands: Sequence[Any]) -> bool:
    return any(hasattr(type(x), "element") for x in operands)


def _written(
    name: str, number: object, args: Sequence[Any], kwargs: dict[str, Any] | None
) -> Exception:
    """Return what to raise when a value of the program is written into a real tensor."""
    operands = (*args, *(kwargs or {}).values())
    tape = next((x.tape for x in operands if type(x) is StandIn), None)
    key = None if tape is None else tape.numbers.get(id(number))
    return UntraceableError(f"torch.{name}") if key is None else PerTensorState(key)


def _method(name: str, operation: Callable[..., Any]) -> Callable[..., StandIn]:
    def method(first: Any, *args: Any, out: StandIn | None = None, **kwargs: Any) -> Any:
        x = first
        if type(x) is not StandIn:
            x = next(x for x in (*args, *kwargs.values()) if type(x) is StandIn)
        if x.tape.blocks is not None and _has_block((first, *args, *kwargs.values(), out)):
            kwargs |= {} if out is None else {"out": out}
            return x.tape.called(function_of_torch(name), (first, *args), kwargs)
        try:
            result = operation(x.tape, first, *args, **kwargs)
        except TypeError as error:
            if name in WHOLE or x.tape.dimensions.whole is not None:
                function = function_of_torch(name)
                if out is None:
                    return x.tape.recorded(x.tape, function, (first, *args), kwargs)
                return x.tape.called(function, (first, *args), {**kwargs, "out": out})
            raise UntraceableError(f"torch.{name} with these arguments ({error})") from None
        if out is None:
            return result
        if type(out) is not StandIn:
            raise _written(name, out, [x], None)
        return out.overwrite(result)

    return method


def _in_place(name: str, operation: Callable[..., Any]) -> Callable[..., StandIn]:
    def method(x: StandIn, *args: Any, **kwargs: Any) -> StandIn:
        if x.frozen:
            raise UntraceableError(f"writing into {x.frozen}")
        try:
            if x.tape.blocks is not None and _has_block((*args, *kwargs.values())):
                made = x.tape.result_of(name[:-1], x, args, kwargs)
            else:
                made = operation(x.tape, x, *args, **kwargs)
            if made.axes != x.axes:
                raise TypeError("a result of another shape")
            x.value = made.value
            if x.views is not None:
                x.write(made.value)
        except TypeError as error:
            raise UntraceableError(f"Tensor.{name} with these arguments ({error})") from None
        return x

    return method


def _view(name: str, view: Callable[..., StandIn]) -> Callable[..., StandIn]:
    def method(x: StandIn, *args: Any, **kwargs: Any) -> Any:
        if type(x) is not StandIn:
            raise UntraceableError(f"Tensor.{name} of a single number")
        try:
            return view(x, *args, **kwargs)
        except TypeError:
            return x._called(function_of_torch(name), *args, **kwargs)

    return method


METHODS = {name: _method(name, operation) for name, operation in TORCH_FUNCTIONS.items()}
METHODS |= {
    f"{name}_": _in_place(f"{name}_", operation) for name, operation in TORCH_FUNCTIONS.items()
}
METHODS |= {name: _view(name, view) for name, view in VIEWS.items()}


def _refused(what: str) -> Callable[..., NoReturn]:
    def method(*operands: Any) -> NoReturn:
        raise UntraceableError(what)

    return method


_REFUSED = {
    "the truth of a tensor": ["bool"],  # the branch that a program takes cannot depend on it
    "the value of a tensor": ["float", "int", "index"],  # which is not there yet
    "a part of a tensor": ["setitem"],  # a program sees one element
    "the operator %": ["mod", "rmod"],
    "the operator //": ["floordiv", "rfloordiv"],
    "the operator ^": ["xor", "rxor"],
    "the operator +": ["pos"],
}
"""The operations that no program can express, and the special methods that ask for them."""


def _special_methods() -> None:
    """Give the class the methods of tensors, and the operators, also those that are refused."""
    for what, specials in _REFUSED.items():
        for special in specials:
            setattr(StandIn, f"__{special}__", _refused(what))
    add_methods(StandIn, METHODS, others={**OTHERS, "matmul": "matmul"})
    StandIn.__rmatmul__ = lambda y, x: METHODS["matmul"](x, y)  # type: ignore[attr-defined]


_special_methods()
Tape.stand_in = StandIn
