"""The tracer: runs a rule once, on stand-ins for tensors, and writes down what it did to them.

Everything that is not a tensor is ordinary Python and really happens: `beta ** step`, an `if` on a
hyper-parameter, `math.sqrt`. A number that meets a tensor becomes an argument of the program. An
operation that no program can express (to read the value of a tensor, say, which a stand-in does not
have) raises `UntraceableError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor

from schuss.contract import Group, Rule, State
from schuss.engines.errors import PerTensorState, ShapeRead, UnfusableError, refused_at_the_end
from schuss.engines.program.as_matrices import MatrixAxes, as_matrices
from schuss.engines.program.axes import Axes, own_axes
from schuss.engines.program.computed import Computed
from schuss.engines.program.cut import cut
from schuss.engines.program.program import GRAD, PARAM, STATE, Node, Place, Program, program
from schuss.engines.program.stages import Cut
from schuss.engines.tracing import whole
from schuss.engines.tracing.calculation import drawn
from schuss.engines.tracing.draws import refusing_draws
from schuss.engines.tracing.failing import check_passes, that_may_fail
from schuss.engines.tracing.kept import apart, blocks_of_state
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
        cut: The stages, if the rule works on whole tensors; the program is that of the last.
        computed: The numbers that a kernel computes first, arguments among them.
    """

    program: Program
    arguments: list[Any]
    scalars: State
    dropped: frozenset[str]
    matrix_axes: MatrixAxes | None = None
    axes: Mapping[str, Axes] = MappingProxyType({})
    on_device: Mapping[int, Any] = MappingProxyType({})
    cut: Cut | None = None
    computed: Computed | None = None


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
        Request: It is to be traced again, with parameters divided otherwise.
    """
    start = {k: v.clone() if isinstance(v, Tensor) else v for k, v in scalars.items()}
    tape = Tape(inputs, like, dimensions, drawn)
    before, grad, param = _begun(tape, scalars, aliases, axes)
    _run(rule, after := dict(before), group, grad, param, tape=tape)
    _check_errors_pass(rule, group, tape, lambda failing: _begun(failing, start, aliases, axes))
    dropped = frozenset(before.keys() - after.keys())
    kept = {k: v for k, v in after.items() if k not in aliases or v is not param}
    after, blocks = apart(kept, before)
    outputs, rest = _divided(after, before, scalars, param)
    made, rows, cut = _written(tape, axes, (*outputs, (PARAM, param.value)), blocks)
    about = rows, _axes_of(after, rows), tape.on_device, cut
    return Trace(made, tape.arguments, rest, dropped, *about)


def _begun(
    tape: Tape, scalars: State, aliases: Sequence[str], axes: Mapping[str, Axes]
) -> tuple[State, StandIn, StandIn]:
    """Return the state, the gradient and the parameter that a rule is called with."""
    tape.numbers |= {id(x): key for key, x in scalars.items() if isinstance(x, Tensor)}
    grad, param, state = _stand_ins(tape, tape.inputs, axes)
    return state | {**scalars, **dict.fromkeys(aliases, param)}, grad, param


def _run(rule: Rule, *args: Any, tape: Tape) -> None:
    """Run a rule, and ask for sizes if torch has refused those that are not known."""
    try:
        with refusing_draws(tape), refused_at_the_end():
            rule(*args)
    except TypeError:
        if tape.dimensions.sizes is None:
            raise ShapeRead from None
        raise


def _check_errors_pass(
    rule: Rule,
    group: Group,
    tape: Tape,
    begun: Callable[[Tape], tuple[State, StandIn, StandIn]],
) -> None:
    """Check that a rule lets the errors of functions of whole tensors pass; see `failing`."""
    passing = tape.dimensions.passing
    for call in () if tape.blocks is None else that_may_fail(tape.blocks):
        if call not in passing:
            failing = Tape(tape.inputs, tape.like, tape.dimensions, lambda: 0.5)
            failing.fails_at, name = call
            state, *tensors = begun(failing)
            check_passes(name, partial(_run, rule, state, group, *tensors, tape=failing))
            passing.add(call)


def _axes_of(state: State, matrix_axes: MatrixAxes | None) -> dict[str, Axes]:
    """Return the axes of what a rule leaves in a state, where they are not its parameter's."""
    if matrix_axes is None:
        return {}
    return {k: x.axes for k, x in state.items() if type(x) is StandIn and x.axes is not None}


def _stand_ins(
    tape: Tape, inputs: Sequence[Place], axes: Mapping[str, Axes]
) -> tuple[StandIn, StandIn, State]:
    """Return stand-ins for the gradient, the parameter, and the tensors of its state."""
    named = {place.name: StandIn(tape, number) for number, place in enumerate(inputs)}
    of_state: State = {k[len(STATE) :]: v for k, v in named.items() if k.startswith(STATE)}
    for key, of_key in axes.items():
        of_state[key].axes = tape.plain(of_key)
    return named[GRAD], named[PARAM], of_state | blocks_of_state(tape)


def _written(
    tape: Tape,
    axes: Mapping[str, Axes],
    ends: tuple[tuple[str, int], ...],
    blocks: Mapping[str, int],
) -> tuple[Program, MatrixAxes | None, Cut | None]:
    """Return the program on a tape, what its matrices, rows and columns are, and its stages."""

    def write(
        places: tuple[Place, ...], nodes: tuple[Node, ...], ends: tuple[tuple[str, int], ...]
    ) -> tuple[Program, MatrixAxes | None]:
        dimensions = tape.dimensions
        if not dimensions.along or dimensions.axes is None:
            return program(places, nodes, ends), None
        with_axes = tuple((place, axes.get(place.name.removeprefix(STATE))) for place in places)
        return as_matrices(with_axes, nodes, ends, own_axes(dimensions.axes) or (0,))

    if tape.blocks is None or tape.dimensions.whole is None:
        return *write(tuple(tape.inputs), tuple(tape.nodes), ends), None
    tangle = tape.blocks.tangle(tape, tape.dimensions.whole.direct)
    return cut(tangle, ends, blocks, write)


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


Tape.called = staticmethod(whole.called)
Tape.constant = staticmethod(whole.constant)
Tape.recorded = staticmethod(whole.recorded)
Tape.result_of = staticmethod(whole.result_of)
