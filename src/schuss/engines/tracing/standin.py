"""Stand-ins for tensors: they write down what is done to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, NoReturn

import torch
from torch import Tensor

from schuss.engines.tracing.errors import PerTensorState, ShapeRead, UntraceableError
from schuss.engines.tracing.operations import OPERATIONS, VIEWS
from schuss.engines.tracing.primitives import DRAWS, PREDICATES, REDUCTIONS
from schuss.engines.tracing.program import COUNT, Node, Place


class Tape:
    """What has been written down so far.

    Attributes:
        inputs: Where the first values are read.
        nodes: The operations.
        arguments: The numbers that met stand-ins.
        like: A tensor with the dtype and the device of all tensors that are stood in for.
        shape: Their shape, or None if they are of several.
        numbers: Keys of the state whose tensors of one number are real ones, by their identity.
    """

    def __init__(self, inputs: Sequence[Place], like: Tensor, shape: torch.Size | None) -> None:
        self.inputs = inputs
        self.nodes: list[Node] = []
        self.arguments: list[float] = []
        self.like = like
        self.shape = shape
        self.numbers: dict[int, str] = {}
        self._next = len(inputs)
        self._per_tensor = [place.per_tensor for place in inputs]

    def record(self, operation: str, *operands: Any) -> StandIn:
        """Add an operation on stand-ins and numbers, and return the stand-in for its value."""
        node: list[Any] = [operation]
        for operand in operands:  # a comprehension would be a call more
            node.append(operand.value if type(operand) is StandIn else self._argument(operand))  # noqa: PERF401
        self.nodes.append(tuple(node))
        value = self._next
        self._next = value + 1
        return StandIn(self, value)

    def copy(self, x: StandIn, frozen: str | None = None) -> StandIn:
        """Return another stand-in with the same value.

        Args:
            x: What it is a copy of.
            frozen: What to call it in the error for writing to it, or None if that is allowed.
        """
        return StandIn(self, x.value, frozen)

    def is_per_tensor(self, x: StandIn) -> bool:
        """Tell whether a value is one number for a tensor, not one for each element."""
        known = self._per_tensor
        while len(known) <= x.value:
            operation, *operands = self.nodes[len(known) - len(self.inputs)]
            alike = operation not in DRAWS and all(known[o] for o in operands if o >= 0)
            known.append(operation in REDUCTIONS or alike)
        return known[x.value]

    def is_predicate(self, x: StandIn) -> bool:
        """Tell whether a value is true or false."""
        number = x.value - len(self.inputs)
        return number >= 0 and self.nodes[number][0] in PREDICATES

    def count(self) -> StandIn:
        """Return the number of elements, as an operand."""
        return StandIn(self, self.inputs.index(COUNT))

    def _argument(self, operand: Any) -> int:
        if type(operand) is not float:
            if isinstance(operand, Tensor) and operand.numel() == 1:
                operand = operand.item()
            if not isinstance(operand, Real):
                raise UntraceableError(f"a {type(operand).__name__} among the operands")
            operand = float(operand)
        self.arguments.append(operand)
        return -len(self.arguments)  # ~k is -k - 1


_ASSIGNMENTS = frozenset({"__iadd__", "__isub__", "__imul__", "__itruediv__", "__ipow__"})


class StandIn:
    """Stands in for a tensor while a rule is traced; `value` changes where the tensor would."""

    __slots__ = ("frozen", "tape", "value")

    is_sparse = requires_grad = False
    layout = torch.strided

    def __init__(self, tape: Tape, value: int, frozen: str | None = None) -> None:
        self.tape = tape
        self.value = value
        self.frozen = frozen

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
        in_place = name in _ASSIGNMENTS or (name.endswith("_") and not name.endswith("__"))
        if in_place and args and type(args[0]) is not StandIn:
            raise _written(name, args[0], args[1:], kwargs)
        method = _METHODS.get(name if in_place else name.strip("_"))
        if method is None or not args:
            raise UntraceableError(f"torch.{name}" if args else f"torch.{name} without operands")
        return method(*args, **(kwargs or {}))

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse what is not known."""
        raise UntraceableError(f"Tensor.{name}")

    def overwrite(self, other: StandIn) -> StandIn:
        """Take the value of another one, as a tensor does that is written to."""
        if self.frozen:
            raise UntraceableError(f"writing into {self.frozen}")
        self.value = other.value
        return self

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

    @property
    def shape(self) -> torch.Size:
        """The shape. A trace that reads it is of tensors of one shape."""
        if self.tape.is_per_tensor(self):
            return torch.Size()
        if self.tape.shape is None:
            raise ShapeRead
        return self.tape.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def dim(self) -> int:
        """Return the number of dimensions."""
        return len(self.shape)

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
        return self.shape[0]

    def __format__(self, specification: str) -> str:
        """Refuse to format the value; without a specification it is not asked for."""
        if specification:
            raise UntraceableError("the value of a tensor")
        return str(self)


def _written(
    name: str, number: object, args: Sequence[Any], kwargs: dict[str, Any] | None
) -> Exception:
    """Return what to raise when a value of the program is written into a real tensor."""
    operands = (*args, *(kwargs or {}).values())
    tape = next((x.tape for x in operands if type(x) is StandIn), None)
    key = None if tape is None else tape.numbers.get(id(number))
    return UntraceableError(f"torch.{name}") if key is None else PerTensorState(key)


def _method(name: str, operation: Callable[..., Any]) -> Callable[..., StandIn]:
    def method(first: Any, *args: Any, out: StandIn | None = None, **kwargs: Any) -> StandIn:
        x = first
        if type(x) is not StandIn:
            x = next(x for x in (*args, *kwargs.values()) if type(x) is StandIn)
        try:
            result: StandIn = operation(x.tape, first, *args, **kwargs)
        except TypeError as error:
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
            x.value = operation(x.tape, x, *args, **kwargs).value
        except TypeError as error:
            raise UntraceableError(f"Tensor.{name} with these arguments ({error})") from None
        return x

    return method


def _view(name: str, view: Callable[..., StandIn]) -> Callable[..., StandIn]:
    def method(x: StandIn, *args: Any, **kwargs: Any) -> StandIn:
        try:
            return view(x, *args, **kwargs)
        except TypeError as error:
            raise UntraceableError(f"Tensor.{name} with these arguments ({error})") from None

    return method


_METHODS = {name: _method(name, operation) for name, operation in OPERATIONS.items()}
_METHODS |= {f"{name}_": _in_place(f"{name}_", operation) for name, operation in OPERATIONS.items()}
_METHODS |= {name: _view(name, view) for name, view in VIEWS.items()}


def _refused(what: str) -> Callable[..., NoReturn]:
    def method(*operands: Any) -> NoReturn:
        raise UntraceableError(what)

    return method


_REFUSED = {
    "the truth of a tensor": ["bool"],  # the branch that a program takes cannot depend on it
    "the value of a tensor": ["float", "int", "index"],  # which is not there yet
    "a part of a tensor": ["getitem", "setitem"],  # a program sees one element
    "the operator %": ["mod", "rmod"],
    "the operator //": ["floordiv", "rfloordiv"],
    "the operator @": ["matmul", "rmatmul"],
    "the operator ^": ["xor", "rxor"],
    "the operator +": ["pos"],
}
"""What no program can express, and the special methods that ask for it."""


def _special_methods() -> None:
    """Give the class the methods of tensors, and the operators."""
    binary = {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "pow": "pow"}
    compared = {name: name for name in ("eq", "ne", "lt", "le", "gt", "ge")}
    logical = {"and": "logical_and", "or": "logical_or"}
    unary = {"neg": "neg", "abs": "abs", "invert": "logical_not"}
    reflected = {"add": "add", "mul": "mul", "sub": "rsub", "truediv": "rdiv", "pow": "rpow"}
    for what, specials in _REFUSED.items():
        for special in specials:
            setattr(StandIn, f"__{special}__", _refused(what))
    for name, method in _METHODS.items():
        setattr(StandIn, name, method)
    for special, name in {**binary, **compared, **logical, **unary}.items():
        setattr(StandIn, f"__{special}__", _METHODS[name])
    for special, name in binary.items():
        setattr(StandIn, f"__i{special}__", _METHODS[f"{name}_"])
    for special, name in reflected.items():
        setattr(StandIn, f"__r{special}__", _METHODS[name])


_special_methods()
