"""The foreach engine: plays a program on lists of tensors, one operation at a time.

It takes every device, dtype and memory layout that torch does. A value lives until the last
operation that needs it, which writes its result in the same place if it can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from schuss.contract import Group, State, Work
from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.matrix_view import MatrixView, reduced
from schuss.engines.cohorts.traces import Part
from schuss.engines.program.operations import (
    DRAWS,
    OPERATIONS,
    REDUCED,
    SIZES,
    SPREADS,
    takes_predicate,
)
from schuss.engines.program.program import COUNT, GRAD, PARAM, STATE, Place, Program
from schuss.engines.tracing.tracer import Trace
from schuss.storage.precision import computable, gradient, stored

_KEYWORDS = {"add_scaled": ("add", "alpha"), "addcdiv": ("addcdiv", "value")}
_KEYWORDS["addcmul"] = ("addcmul", "value")
"""The names that torch has for some operations on lists, and for their last operand."""


def plan(
    cohort: Cohort,
    work: Work,
    group: Group,
    grads: Mapping[Tensor, Tensor],
) -> tuple[list[Callable[[], None]], list[Part]]:
    """Plan the step of a cohort: trace, but write nothing.

    Args:
        cohort: The cohort.
        work: The rule, and what is done around it.
        group: The group.
        grads: The gradient of each parameter.

    Returns:
        The calls that take the step, and the parts that the cohort is divided into.
    """
    parts = cohort.trace(work, group)
    of_parts = [
        partial(run, cohort, part.trace, rows, arguments, [grads[cohort.params[r]] for r in rows])
        for part in parts
        for rows, arguments in _sets(cohort, part)
    ]
    return [*of_parts, partial(_finish, cohort, parts)], parts


def _sets(cohort: Cohort, part: Part) -> Iterator[tuple[list[int], Sequence[float]]]:
    """Return the parameters of a part that have one set of numbers, and these numbers."""
    rows = cohort.rows_of(part)
    if part.which is None:
        yield rows.tolist(), list(part.numbers())
        return
    for number, arguments in enumerate(np.asarray(part.numbers()).tolist()):
        yield rows[part.which == number].tolist(), arguments


def run(
    cohort: Cohort,
    trace: Trace,
    rows: Sequence[int],
    arguments: Sequence[float],
    grads: Sequence[Tensor],
) -> None:
    """Take a step.

    Args:
        cohort: The cohort.
        trace: The operations, and the numbers that they leave.
        rows: The parameters that it is done to, by their position in the cohort.
        arguments: The numbers of the program.
        grads: Their gradients.
    """
    program = trace.program
    members = Members([cohort.params[row] for row in rows], [cohort.states[row] for row in rows])
    views: list[MatrixView] = []
    if trace.matrix_axes is not None:
        layouts = cohort.layouts
        views = [MatrixView(trace.matrix_axes, layouts[row], trace.axes) for row in rows]
    inputs = _inputs(cohort, members, program, grads)
    if views:
        for number, place in enumerate(program.inputs):
            pairs = zip(views, inputs[number], strict=True)
            inputs[number] = [view.seen(tensor, place.form) for view, tensor in pairs]
    player = _Player(program, arguments, inputs, views)
    player.play()
    made: dict[str, list[Tensor]] = {}
    for place, values in player.outputs():
        key, tensors = place.name.removeprefix(STATE), values
        if views:
            tensors = [view.as_state(x, key) for view, x in zip(views, values, strict=True)]
        if place in program.inputs:
            _store(members.tensors(place), tensors)
        else:
            made[key] = [_new(cohort, x, p) for x, p in zip(tensors, members.params, strict=True)]
    cohort.change(np.asarray(rows), made, trace.dropped)


def _finish(cohort: Cohort, parts: Sequence[Part]) -> None:
    cohort.take(parts)
    cohort.write_scalars()


class Members(NamedTuple):
    """Parameters, and their states in the same order."""

    params: list[Tensor]
    states: list[State]

    def tensors(self, place: Place) -> list[Tensor]:
        """Return the tensors at a place of the parameters or of the states."""
        if place.name == PARAM:
            return self.params
        return [state[place.name.removeprefix(STATE)] for state in self.states]


def _inputs(
    cohort: Cohort, members: Members, program: Program, grads: Sequence[Tensor]
) -> list[list[Tensor]]:
    lists = []
    for place in program.inputs:
        if place == COUNT:
            numbers = [computable(param.detach()).numel() for param in members.params]
            lists.append([cohort.like.new_tensor(float(number)) for number in numbers])
        elif place.name == GRAD:
            pairs = zip(grads, members.params, strict=True)
            lists.append([gradient(grad.detach(), param) for grad, param in pairs])
        else:
            lists.append([computable(x.detach()) for x in members.tensors(place)])
    return lists


def _store(targets: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for target, value in zip(targets, values, strict=True):
        kept = target.detach()
        if kept.is_complex():
            torch.view_as_real(kept).copy_(value)
        elif value.data_ptr() != kept.data_ptr() or value.dtype is not kept.dtype:
            kept.copy_(value)


def _new(cohort: Cohort, value: Tensor, param: Tensor) -> Tensor:
    """Return state that a rule has made, as it is kept."""
    value = value if cohort.has_master else stored(value, param)
    return value.clone(memory_format=torch.preserve_format)


class _Player:
    """Plays one program.

    Args:
        program: The program.
        arguments: Its numbers.
        inputs: For each input a list of tensors.
        views: How each parameter is seen, if it is seen as anything but itself.
    """

    def __init__(
        self,
        program: Program,
        arguments: Sequence[float],
        inputs: list[list[Tensor]],
        views: Sequence[MatrixView],
    ) -> None:
        self._program = program
        self._views = views
        self._arguments = arguments
        self._values: dict[int, list[Tensor]] = dict(enumerate(inputs))
        self._like = inputs[1]  # the parameters
        self._real = inputs[1][0].dtype
        written = {place for place, _ in program.outputs}
        # What may be written over: values of our own, and inputs that get new values anyway.
        self._ours = {n for n, place in enumerate(program.inputs) if place in written}
        # At which place's memory a value is, if at any.
        self._homes = dict(enumerate(program.inputs))
        self._last_use = {number: number for number in range(len(program.values))}
        for number, (_, *operands) in enumerate(program.nodes, start=len(inputs)):
            self._last_use |= {operand: number for operand in operands if operand >= 0}
        self._last_use |= {number: len(program.values) for _, number in program.outputs}

    def play(self) -> None:
        """Make all values, and keep those that go to the outputs."""
        for number in range(len(self._program.inputs), len(self._program.values)):
            self._values[number] = self._made(number)
            self._ours.add(number)
            for operand in (self._program.node(number) or ())[1:]:
                if operand in self._values and self._last_use[operand] == number:
                    del self._values[operand]

    def outputs(self) -> list[tuple[Place, list[Tensor]]]:
        """Return what goes to each place, none of it in the memory of another one."""
        program = self._program
        result = []
        for place, number in program.outputs:
            tensors = self._values[number]
            if self._homes.get(number, place) != place:  # where another value is to go
                tensors = [tensor.clone() for tensor in tensors]
            result.append((place, tensors))
        return result

    def _made(self, number: int) -> list[Tensor]:
        """Return the value of one operation."""
        program = self._program
        operation, *operands = program.node(number) or ()
        lists: list[Any] = [self._values[o] if o >= 0 else self._arguments[~o] for o in operands]
        known = [program.values[o] for o in operands if o >= 0]
        if operation in DRAWS:
            return _drawn(operation, int(lists[0]), self._like)
        if operation in REDUCED:
            return [reduced(operation, x.to(self._real)) for x in lists[0]]
        if operation in SIZES or operation in SPREADS:
            return self._repeated(operation, *lists)
        several = {k.form for k in known} != {program.values[number].form}
        if operands[0] < 0 or several or any(k.predicate or k.per_tensor for k in known):
            return _one_by_one(operation, lists, self._real)
        first = operands[0]
        reusable = first in self._ours and self._last_use[first] == number
        made = _together(operation, lists, in_place=reusable and operands.count(first) == 1)
        if made is lists[0] and first in self._homes:
            self._homes[number] = self._homes[first]
        return made

    def _repeated(self, operation: str, x: list[Tensor] | float = 0.0) -> list[Tensor]:
        """Return a size of each parameter, or numbers that are repeated along dimensions."""
        numbers: list[Any] = x if isinstance(x, list) else [x] * len(self._views)
        pairs = zip(self._views, self._like, numbers, strict=True)
        return [view.made(operation, like, number) for view, like, number in pairs]


def _together(operation: str, lists: list[Any], *, in_place: bool) -> list[Tensor]:
    """Call torch's operation on lists, if there is one that takes these operands."""
    name, keyword = _KEYWORDS.get(operation, (operation, None))
    function = getattr(torch, f"_foreach_{name}_" if in_place else f"_foreach_{name}", None)
    if function is None or (keyword and not isinstance(lists[-1], float)):
        return _one_by_one(operation, lists, lists[0][0].dtype)
    positional, named = (lists[:-1], {keyword: lists[-1]}) if keyword else (lists, {})
    result = function(*positional, **named)
    return lists[0] if in_place else list(result)


def _one_by_one(operation: str, lists: list[Any], real: torch.dtype) -> list[Tensor]:
    count = next(len(x) for x in lists if isinstance(x, list))
    columns = []
    for position, x in enumerate(lists):
        column = x if isinstance(x, list) else [torch.tensor(x, dtype=real)] * count
        if not takes_predicate(operation, position):
            column = [tensor.to(real) for tensor in column]
        columns.append(column)
    function = OPERATIONS[operation].function
    return [function(*row) for row in zip(*columns, strict=True)]


def _drawn(operation: str, seed: int, like: list[Tensor]) -> list[Tensor]:
    """Return random numbers for every element, the same for the same seed."""
    generator = torch.Generator(like[0].device).manual_seed(seed)
    function = torch.rand if operation == "uniform" else torch.randn
    return [function(x.shape, generator=generator, dtype=x.dtype, device=x.device) for x in like]
