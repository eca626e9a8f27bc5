"""The tracer: runs a rule once, on stand-ins for tensors, and writes down what it did to them.

Everything that is not a tensor is ordinary Python and really happens: `beta ** step`, an `if` on a
hyper-parameter, `math.sqrt`. A number that meets a tensor becomes an argument of the program. An
operation that no program can express (to read the value of a tensor, say, which a stand-in does not
have) raises `UntraceableError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor

from schuss.contract import Group, Rule, State
from schuss.engines.errors import PerTensorState, ShapeRead, UnfusableError
from schuss.engines.program.as_matrices import MatrixAxes, as_matrices
from schuss.engines.program.axes import Axes, own_axes
from schuss.engines.program.program import GRAD, PARAM, STATE, Place, Program, program
from schuss.engines.tracing.calculation import drawn
from schuss.engines.tracing.standin import StandIn
from schuss.engines.tracing.tape import Dimensions, Tape


class Trace(NamedTuple):
    """The operations of a rule, and the numbers that it left.

    Attributes:
        program: To all tensors.
        arguments: With these numbers; arrays, where they differ among parameters.
        scalars: To the state that is not part of the program: its new values.
        dropped: Keys of the state that it deleted.
        matrix_axes: The axes of matrices, rows and columns of the program.
        axes: The axes of the state that has others than its parameter, by key.
        on_device: The arguments that are tensors, by their position; see `Tape`.
    """

    program: Program
    arguments: list[Any]
    scalars: State
    dropped: frozenset[str]
    matrix_axes: MatrixAxes | None = None
    axes: Mapping[str, Axes] = MappingProxyType({})
    on_device: Mapping[int, Tensor] = MappingProxyType({})


def trace(
    rule: Rule,
    inputs: Sequence[Place],
    aliases: Sequence[str],
    scalars: State,
    group: Group,
    like: Tensor,
    dimensions: Dimensions,
    axes: Mapping[str, Axes],
    drawn: Callable[[], Any] = drawn,
) -> Trace:
    """Run a rule on stand-ins for a parameter, its gradient, and its state.

    Args:
        rule: The rule.
        inputs: The places that stand-ins stand for.
        aliases: Keys of the state under which the rule is to find the parameter itself.
        scalars: The rest of the state: numbers, and tensors of one number, which may change.
        group: The group.
        like: Tensor with the dtype and the device that the rule is to see.
        dimensions: The dimensions of the parameters, as far as the rule is to know them.
        axes: The axes of the state that has others than its parameter, by key.
        drawn: Returns random numbers.

    Raises:
        UnfusableError: It did what no program can express, or left state that none can keep.
        Request: The rule is to be traced again, with parameters divided otherwise.
    """
    tape = Tape(inputs, like, dimensions, drawn)
    tape.numbers = {id(x): key for key, x in scalars.items() if isinstance(x, Tensor)}
    grad, param, of_state = _stand_ins(tape, inputs, axes)
    before: State = {**of_state, **scalars, **dict.fromkeys(aliases, param)}
    after = dict(before)
    _run(rule, after, group, grad, param, of=dimensions)
    dropped = frozenset(before.keys() - after.keys())
    after = {k: v for k, v in after.items() if k not in aliases or v is not param}
    outputs, rest = _divided(after, before, scalars, param)
    made, matrix_axes = _written(tape, inputs, axes, (*outputs, (PARAM, param.value)))
    left = _axes_of(after, matrix_axes)
    return Trace(made, tape.arguments, rest, dropped, matrix_axes, left, tape.on_device)


def _run(rule: Rule, *args: Any, of: Dimensions) -> None:
    """Run a rule, and ask for sizes if torch has refused those that are not known."""
    try:
        rule(*args)
    except TypeError:
        if of.sizes is None:
            raise ShapeRead from None
        raise


def _axes_of(state: State, matrix_axes: MatrixAxes | None) -> dict[str, Axes]:
    """Return the axes of what a rule leaves in a state, where they are not its parameter's."""
    if matrix_axes is None:
        return {}
    return {k: x.axes for k, x in state.items() if type(x) is StandIn and x.axes is not None}


def _stand_ins(
    tape: Tape, inputs: Sequence[Place], axes: Mapping[str, Axes]
) -> tuple[StandIn, StandIn, dict[str, StandIn]]:
    """Return stand-ins for the gradient, the parameter, and the tensors of its state."""
    named = {place.name: StandIn(tape, number) for number, place in enumerate(inputs)}
    of_state = {k[len(STATE) :]: v for k, v in named.items() if k.startswith(STATE)}
    for key, of_key in axes.items():
        of_state[key].axes = tape.plain(of_key)
    return named[GRAD], named[PARAM], of_state


def _written(
    tape: Tape,
    inputs: Sequence[Place],
    axes: Mapping[str, Axes],
    ends: tuple[tuple[str, int], ...],
) -> tuple[Program, MatrixAxes | None]:
    """Return the program on a tape, and what its matrices, rows and columns are if it has any."""
    dimensions, nodes = tape.dimensions, tuple(tape.nodes)
    if not dimensions.along or dimensions.axes is None:
        return program(tuple(inputs), nodes, ends), None
    places = tuple((place, axes.get(place.name.removeprefix(STATE))) for place in inputs)
    return as_matrices(places, nodes, ends, own_axes(dimensions.axes) or (0,))


def _divided(
    after: State, before: State, scalars: State, param: StandIn
) -> tuple[tuple[tuple[str, int], ...], State]:
    """Divide the state that a rule leaves into values of the program, and the rest."""
    outputs, rest = [], {}
    held = {id(param)}
    for key, value in after.items():
        if type(value) is StandIn:
            if key in scalars:
                raise PerTensorState(key)
            if id(value) in held:
                raise UnfusableError(f"state {key!r} is a tensor that has another name too")
            if value is not before.get(key) and (value.frozen or param.tape.is_predicate(value)):
                raise UnfusableError(f"state {key!r} is {value.frozen or 'truth values'}")
            if key in before and value.axes != before[key].axes:
                raise UnfusableError(f"state {key!r} changes its shape")
            if value.axes and list(own_axes(value.axes)) != list(chain.from_iterable(value.axes)):
                raise UnfusableError(f"state {key!r} is a transposed tensor")
            held.add(id(value))
            outputs.append((STATE + key, value.value))
        elif isinstance(value, Tensor) and value.numel() != 1:
            raise UnfusableError(f"state {key!r} is a tensor made without the parameter's")
        elif isinstance(value, (Tensor, int, float, str, type(None))):
            rest[key] = value
        else:
            raise UnfusableError(f"state {key!r} is a {type(value).__name__}")
    return tuple(outputs), rest
