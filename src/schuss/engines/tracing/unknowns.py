"""Unknowns: numbers that only a device knows, and the program of what is computed with them.

Where a graph is to repeat steps, a step count or a learning rate is a tensor of one number on the
device. A rule computes with it as with any tensor, and torch would start a kernel for each of these
operations. While such a rule is traced, an `Unknown` stands in for each such tensor. All that is
done to it is written to a tape of its own. This becomes a program, with one number for each
parameter at every place, and a single kernel computes all of it in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor

from schuss.contract import State
from schuss.engines.errors import UntraceableError
from schuss.engines.program.axes import Axes
from schuss.engines.program.computed import SHARED, Computed, argument_at
from schuss.engines.program.operations import Form
from schuss.engines.program.program import STATE, Place, program
from schuss.engines.tracing.names import in_place_name
from schuss.engines.tracing.operators import BINARY, add_methods
from schuss.engines.tracing.tape import Dimensions, Tape
from schuss.engines.tracing.torch_functions import TORCH_FUNCTIONS
from schuss.engines.tracing.tracer import Trace
from schuss.storage.numbers import NUMBER


class Unknown:
    """Stands in for a tensor of one number, and writes down what is computed with it.

    Attributes:
        tape: Where it is written down.
        value: The number of its value there.
        dtype: The precision of the tensor: what is computed with float32 alone is rounded to it.
    """

    __slots__ = ("axes", "dtype", "frozen", "tape", "value")

    is_sparse = requires_grad = False
    layout, shape, ndim = torch.strided, torch.Size(()), 0

    def __init__(self, tape: Tape, value: int, frozen: str | None = None) -> None:
        self.tape = tape
        self.value = value
        self.frozen = frozen
        self.dtype = NUMBER
        self.axes: Axes | None = None  # it is one number, whatever the parameter

    @property  # type: ignore[misc]  # so that isinstance finds a tensor
    def __class__(self) -> type:
        """The type of what it stands in for."""
        return Tensor

    @property
    def device(self) -> torch.device:
        """The device that knows the number."""
        return self.tape.like.device

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Take a function of torch that an unknown was given to."""
        name = function.__name__
        method = _METHODS.get(name if in_place_name(name) is not None else name.strip("_"))
        if method is None:
            raise UntraceableError(f"torch.{name} of a number that only the device knows")
        return method(*args, **(kwargs or {}))

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse what is not known."""
        raise UntraceableError(f"Tensor.{name} of a number that only the device knows")

    def dim(self) -> int:
        """Return that there are no dimensions."""
        return 0

    def numel(self) -> int:
        """Return that it is one number."""
        return 1

    def to(self, dtype: torch.dtype) -> Unknown:
        """Return the number in another precision."""
        return _rounded(Unknown(self.tape, self.value), dtype)

    def detach(self) -> Unknown:
        """Return the same number, which outside of autograd it is."""
        return self

    squeeze = detach

    def _read(self, *_: object) -> NoReturn:
        raise UntraceableError("a number that only the device knows")

    __float__ = __int__ = __bool__ = __index__ = __hash__ = __complex__ = _read
    __str__ = __repr__ = __format__ = __array__ = __len__ = __iter__ = _read
    item = tolist = _read


def is_unknown(x: object) -> bool:
    """Tell whether something is an `Unknown`, which `isinstance` takes for a tensor."""
    return type(x) is Unknown


def _is_foreign(x: object) -> bool:
    """Tell whether something stands in for a parameter, and knows itself what to do."""
    return type(x) is not Unknown and hasattr(type(x), "tape")


def _rounded(x: Unknown, dtype: torch.dtype) -> Unknown:
    """Return a number of float64 in another precision."""
    if dtype is not NUMBER:
        if dtype is not torch.float32:
            raise UntraceableError(f"a number in {dtype} that only the device knows")
        made: Any = x.tape.record("float32", x)
        made.dtype = dtype
        return made  # type: ignore[no-any-return]
    return x


def _method(operation: Callable[..., Any]) -> Callable[..., Any]:
    def method(*args: Any, **kwargs: Any) -> Any:
        operands = (*args, *kwargs.values())
        if any(map(_is_foreign, operands)):
            return NotImplemented
        unknowns = [x for x in operands if type(x) is Unknown]
        made = operation(unknowns[0].tape, *args, **kwargs)
        is_wide = any(x.dtype is NUMBER for x in unknowns) or made.tape.is_predicate(made)
        return made if is_wide else _rounded(made, torch.float32)

    return method


def _in_place(operation: Callable[..., Any]) -> Callable[..., Any]:
    def method(x: Unknown, *args: Any, **kwargs: Any) -> Unknown:
        if type(x) is not Unknown or any(map(_is_foreign, (*args, *kwargs.values()))):
            raise UntraceableError("writing into a number")
        x.value = _rounded(operation(x.tape, x, *args, **kwargs), x.dtype).value
        return x

    return method


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **TORCH_FUNCTIONS,
    "cos": lambda tape, x: tape.record("cos", x),
    "remainder": lambda tape, x, y: tape.record("remainder", x, y),
}

_METHODS: dict[str, Callable[..., Any]] = {
    **{name: _method(operation) for name, operation in _FUNCTIONS.items()},
    **{f"{name}_": _in_place(operation) for name, operation in _FUNCTIONS.items()},
}


add_methods(Unknown, _METHODS, binary={**BINARY, "mod": "remainder"})


class _Numbers(Tape):
    """A tape for unknowns, on which nothing is rounded that Python would not round."""

    stand_in = Unknown  # type: ignore[assignment]

    def record(self, operation: str, *operands: Any) -> Any:
        """Add an operation; a division by a number is no product with the reciprocal."""
        if operation == "div" and type(operands[1]) is not Unknown:
            operands = operands[0], super().record("full", operands[0], operands[1])
        return super().record(operation, *operands)

    def _number(self, tensor: Tensor) -> float:
        raise UntraceableError("a tensor that the rule has made itself")


class Unknowns:
    """The unknowns of a rule that is traced.

    Args:
        numbers: The numbers of the states; of each key those of one parameter.
        given: All else that the rule is given: a group, and the scale of its gradients.
        device: The device that knows them.

    Attributes:
        numbers: The stand-ins that the rule is to see in place of the numbers of the states.
    """

    def __init__(self, numbers: State, given: Sequence[Any], device: torch.device) -> None:
        shared = {id(x): x for x in _tensors_in(given) if x.device.type == device.type}
        names = {key: f"{SHARED}{at}" for at, key in enumerate(shared)}
        self._shared = {names[key]: x.detach().to(device) for key, x in shared.items()}
        keys = [key for key, value in numbers.items() if isinstance(value, Tensor)]
        places = [Place(name, Form.TENSOR) for name in (*map(STATE.__add__, keys), *self._shared)]
        self._tape = _Numbers(places, torch.empty((), dtype=NUMBER, device=device), Dimensions())
        unknowns = [Unknown(self._tape, at) for at in range(len(places))]
        for unknown, tensor in zip(unknowns[len(keys) :], shared.values(), strict=True):
            unknown.dtype = tensor.dtype
        self.numbers = {**numbers, **dict(zip(keys, unknowns, strict=False))}
        self._known = dict(zip(names, unknowns[len(keys) :], strict=True))

    def seen(self, value: Any) -> Any:
        """Return what a rule is to see in place of what it is given."""
        if type(value) is dict:
            return {key: self.seen(each) for key, each in value.items()}
        if type(value) is tuple:
            return tuple(map(self.seen, value))
        return self._known.get(id(value), value)

    def computed(self, trace: Trace) -> Computed | None:
        """Return what is to be computed for a trace; None if that is nothing.

        Raises:
            UntraceableError: A kernel cannot compute it.
        """
        changed = {key: x for key, x in trace.scalars.items() if type(x) is Unknown}
        if not (trace.on_device or changed):
            return None
        if not self._tape.inputs:
            raise UntraceableError("numbers that no kernel can begin with")
        divisors, others = _arguments_of(trace)
        ends = []
        for number in sorted(divisors | others):
            value: Any = trace.on_device.get(number)
            if value is None:
                value = self._tape.record("full", Unknown(self._tape, 0), trace.arguments[number])
            if number in others:
                ends.append((argument_at(number), value.value))
            if number in divisors:
                inverse = self._tape.record("reciprocal", value)
                ends.append((argument_at(number, reciprocal=True), inverse.value))
        known = {place.name for place in self._tape.inputs}
        for key, unknown in changed.items():
            if STATE + key not in known:
                raise UntraceableError(f"a new number in the state, {key!r}")
            ends.append((STATE + key, unknown.value))
        made = program(tuple(self._tape.inputs), tuple(self._tape.nodes), tuple(ends))
        return Computed(made, tuple(self._tape.arguments), self._shared)


def _arguments_of(trace: Trace) -> tuple[set[int], set[int]]:
    """Return the arguments that programs divide by, and those that they take otherwise."""
    divisors: set[int] = set()
    others: set[int] = set()
    stages = trace.cut.stages if trace.cut else ()
    found = [trace.program, *(stage.program for stage in stages if stage.program)]
    for operation, *operands in (node for each in found for node in each.nodes):
        if operation == "div" and operands[1] < 0:
            divisors.add(~operands.pop())
        others.update(~operand for operand in operands if operand < 0)
    return divisors, others


def _tensors_in(value: Any) -> Iterator[Tensor]:
    """Return the tensors of one number in what a rule is given."""
    if isinstance(value, Tensor):
        if not value.dim() and value.dtype in (NUMBER, torch.float32):
            yield value
    elif type(value) is dict:
        yield from _tensors_in(tuple(value.values()))
    elif type(value) is tuple:
        for each in value:
            yield from _tensors_in(each)
