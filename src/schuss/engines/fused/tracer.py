"""The tracer: runs a rule once, on stand-ins for tensors, and writes down what it did to them.

Everything that is not a tensor is ordinary Python and really happens: `beta ** step`, an `if` on a
hyper-parameter, `math.sqrt`. A number that meets a tensor becomes an argument of the program. What
a program cannot express (the value of a tensor, say, which a stand-in does not have) raises
`UntraceableError`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partialmethod
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor

from schuss.contract import Group, Rule, State
from schuss.engines.fused.operations import OPERATIONS
from schuss.engines.fused.program import (
    GRAD,
    PARAM,
    STATE,
    Argument,
    Node,
    Program,
    Value,
    without_dead_values,
)


class UnfusableError(RuntimeError):
    """No kernel can be made for a rule or run on its tensors; the message tells why."""


class UntraceableError(UnfusableError):
    """A rule did what no program can express."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"no kernel can express {operation} ({_line_of_the_rule()})")


class Trace(NamedTuple):
    """What a rule did.

    Attributes:
        program: To all tensors.
        arguments: With these numbers.
        scalars: To the state that is not tensors: its new values.
        dropped: Keys of the state that it deleted.
    """

    program: Program
    arguments: tuple[float, ...]
    scalars: State
    dropped: frozenset[str]


def trace(rule: Rule, state: State, group: Group, grad: Tensor, param: Tensor) -> Trace:
    """Run `rule` on stand-ins for one parameter and its state.

    Args:
        rule: Called as `rule(state, group, grad, param)`.
        state: State of the parameter; not changed.
        group: Its group.
        grad: Tensor with the dtype, device and shape that the rule is to see in its gradient.
        param: The same of the parameter.

    Raises:
        UntraceableError: The rule did what no program can express.
    """
    tape = Tape()
    grad_in = StandIn(tape, tape.input(GRAD), grad)
    param_in = StandIn(tape, tape.input(PARAM), param)
    before: State = {
        key: StandIn(tape, tape.input(STATE + key), value) if isinstance(value, Tensor) else value
        for key, value in state.items()
    }
    after, inputs = dict(before), tape.values()
    rule(after, group, grad_in, param_in)  # type: ignore[arg-type]
    outputs = {PARAM: param_in.value}
    outputs |= {STATE + k: v.value for k, v in after.items() if isinstance(v, StandIn)}
    changed = [(place, value) for place, value in outputs.items() if inputs.get(place) != value]
    return Trace(
        program=without_dead_values(tuple(tape.inputs), tuple(tape.nodes), tuple(changed)),
        arguments=tuple(tape.arguments),
        scalars={k: v for k, v in after.items() if not isinstance(v, StandIn)},
        dropped=frozenset(state.keys() - after.keys()),
    )


class Tape:
    """What has been written down so far."""

    def __init__(self) -> None:
        self.inputs: list[str] = []
        self.nodes: list[Node] = []
        self.arguments: list[float] = []

    def input(self, place: str) -> Value:
        """Add an input; all of them come before the first operation."""
        self.inputs.append(place)
        return Value(len(self.inputs) - 1)

    def values(self) -> dict[str, Value]:
        """Return the value of every input."""
        return {place: Value(number) for number, place in enumerate(self.inputs)}

    def record(self, operation: str, *operands: Any) -> Value:
        """Add an operation on stand-ins, values and numbers, and return its value."""
        node = Node(operation, tuple(map(self._operand, operands)))
        self.nodes.append(node)
        return Value(len(self.inputs) + len(self.nodes) - 1)

    def _operand(self, operand: Any) -> Value | Argument:
        if isinstance(operand, StandIn):
            return operand.value
        if isinstance(operand, Value):
            return operand
        if isinstance(operand, Tensor) and operand.numel() == 1 and operand.device.type == "cpu":
            operand = operand.item()
        if not isinstance(operand, Real):
            raise UntraceableError(f"a {type(operand).__name__} among the operands")
        self.arguments.append(float(operand))
        return Argument(len(self.arguments) - 1)


class StandIn:
    """Stands in for a tensor while a rule is traced; `value` changes where the tensor would."""

    def __init__(self, tape: Tape, value: Value, like: Tensor) -> None:
        self.tape = tape
        self.value = value
        self.like = like

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> StandIn:
        """Take a function of torch, or a method of a real tensor, that a stand-in was given to."""
        name = function.__name__
        return _call(name, *args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        """Return a method of tensors that can be traced, or refuse."""
        if name in _TENSOR_FACTS:
            return getattr(self.like, name)
        if name.removesuffix("_") in OPERATIONS:
            return lambda *args, **kwargs: _call(name, self, *args, **kwargs)
        raise UntraceableError(f"Tensor.{name}")

    @property
    def data(self) -> StandIn:
        """The same tensor, which outside of autograd this is."""
        return self

    @data.setter
    def data(self, other: StandIn) -> None:
        self.value = other.value

    def __bool__(self) -> bool:
        """Refuse: the branch that a program takes cannot depend on a tensor."""
        raise UntraceableError("the truth of a tensor")

    def __float__(self) -> NoReturn:
        """Refuse: the value is not there yet."""
        raise UntraceableError("the value of a tensor")

    __int__ = __index__ = __len__ = __float__

    def __getitem__(self, index: object) -> NoReturn:
        """Refuse: a program sees one element."""
        raise UntraceableError("a part of a tensor")

    def __setitem__(self, index: object, value: object) -> NoReturn:
        """Refuse: a program sees one element."""
        raise UntraceableError("a part of a tensor")


_TENSOR_FACTS = frozenset({"device", "dtype", "is_sparse", "layout", "requires_grad"})
"""What is the same for all tensors that share a program. A shape is not."""


def _call(name: str, first: Any, *args: Any, out: StandIn | None = None, **kwargs: Any) -> StandIn:
    """Trace an operation called by its torch name, an underscore at the end meaning in place."""
    # An operator that meets a real tensor first arrives as the tensor's special method.
    operation = OPERATIONS.get(name.strip("_"))
    if operation is None:
        raise UntraceableError(f"torch.{name}")
    stand_in = next(x for x in (first, *args, *kwargs.values()) if isinstance(x, StandIn))
    try:
        value = operation(stand_in.tape, first, *args, **kwargs)
    except TypeError as error:
        raise UntraceableError(f"torch.{name} with these arguments ({error})") from None
    in_place = name.endswith("_") and not name.endswith("__")
    target = first if in_place else out
    if target is None:
        return StandIn(stand_in.tape, value, stand_in.like)
    target.value = value
    return target


def _line_of_the_rule() -> str:
    """Return file and line of the innermost caller outside of this package and of torch."""
    frame = sys._getframe(1)
    inside = (str(Path(__file__).parent), str(Path(torch.__file__).parent))
    while frame.f_back is not None and frame.f_code.co_filename.startswith(inside):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


_REFLECTED = {"add": "add", "mul": "mul", "sub": "rsub", "truediv": "rdiv", "pow": "rpow"}


def _special_methods() -> None:
    """Give stand-ins the operators of Python, which are looked up on the class."""
    binary = {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "pow": "pow"}
    compared = {name: name for name in ("eq", "ne", "lt", "le", "gt", "ge")}
    logical = {"and": "logical_and", "or": "logical_or"}
    unary = {"neg": "neg", "abs": "abs", "invert": "logical_not"}
    for special, name in {**binary, **compared, **logical, **unary}.items():
        setattr(StandIn, f"__{special}__", partialmethod(_method, name))
    for special, name in binary.items():
        setattr(StandIn, f"__i{special}__", partialmethod(_method, f"{name}_"))
    for special, name in _REFLECTED.items():
        setattr(StandIn, f"__r{special}__", partialmethod(_method, name))


def _method(stand_in: StandIn, name: str, *args: Any) -> StandIn:
    return _call(name, stand_in, *args)


_special_methods()
