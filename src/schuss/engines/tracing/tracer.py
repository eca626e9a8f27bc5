"""The tracer: runs a rule once, on stand-ins for tensors, and writes down what it did to them.

Everything that is not a tensor is ordinary Python and really happens: `beta ** step`, an `if` on a
hyper-parameter, `math.sqrt`. A number that meets a tensor becomes an argument of the program. What
a program cannot express (the value of a tensor, say, which a stand-in does not have) raises
`UntraceableError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from schuss.contract import Group, Rule, State
from schuss.engines.tracing.errors import PerTensorState, UnfusableError
from schuss.engines.tracing.program import GRAD, PARAM, STATE, Place, Program, program
from schuss.engines.tracing.standin import StandIn, Tape


class Trace(NamedTuple):
    """What a rule did.

    Attributes:
        program: To all tensors.
        arguments: With these numbers.
        scalars: To the state that is not part of the program: its new values.
        dropped: Keys of the state that it deleted.
    """

    program: Program
    arguments: list[float]
    scalars: State
    dropped: frozenset[str]


def trace(
    rule: Rule,
    inputs: Sequence[Place],
    aliases: Sequence[str],
    scalars: State,
    group: Group,
    like: Tensor,
    shape: torch.Size | None = None,
) -> Trace:
    """Run a rule on stand-ins for a parameter, its gradient, and its state.

    Args:
        rule: The rule.
        inputs: The places that stand-ins stand for.
        aliases: Keys of the state under which the rule is to find the parameter itself.
        scalars: The rest of the state: numbers, and tensors of one number, which may change.
        group: The group.
        like: Tensor with the dtype and the device that the rule is to see.
        shape: The shape that it is to see, or None if the parameters are of several.

    Raises:
        UnfusableError: The rule did what no program can express, or left state that none can keep.
        ShapeRead: The rule needs to know the shape.
        PerTensorState: The rule writes a value of the program into a tensor of one number.
    """
    tape = Tape(inputs, like, shape)
    tape.numbers = {id(value): key for key, value in scalars.items() if isinstance(value, Tensor)}
    named = {place.name: StandIn(tape, number) for number, place in enumerate(inputs)}
    before: State = {k[len(STATE) :]: v for k, v in named.items() if k.startswith(STATE)}
    before |= {**scalars, **dict.fromkeys(aliases, param := named[PARAM])}
    after = dict(before)
    rule(after, group, named[GRAD], param)  # type: ignore[arg-type]  # stand-ins
    dropped = frozenset(before.keys() - after.keys())
    for key in aliases:
        if after.get(key) is param:
            del after[key]
    outputs, rest = _divided(after, before, scalars, param)
    made = program(tuple(inputs), tuple(tape.nodes), (*outputs, (PARAM, param.value)))
    return Trace(made, tape.arguments, rest, dropped)


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
            held.add(id(value))
            outputs.append((STATE + key, value.value))
        elif isinstance(value, Tensor) and value.numel() != 1:
            raise UnfusableError(f"state {key!r} is a tensor made without the parameter's")
        elif isinstance(value, (Tensor, int, float, str, type(None))):
            rest[key] = value
        else:
            raise UnfusableError(f"state {key!r} is a {type(value).__name__}")
    return tuple(outputs), rest
