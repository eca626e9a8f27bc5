"""The foreach engine: plays a program on lists of tensors, one operation at a time.

It takes every device, dtype and memory layout that torch does. A value lives until the last
operation that needs it, which writes its result in the same place if it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from schuss.contract import Batch, Rule
from schuss.engines.cohort import Cohort
from schuss.engines.folded import FoldedView, reduced
from schuss.engines.step import Step
from schuss.engines.tracing.primitives import (
    DRAWS,
    PRIMITIVES,
    REDUCED,
    SIZES,
    SPREADS,
    takes_predicate,
)
from schuss.engines.tracing.program import COUNT, GRAD, PARAM, STATE, Place, Program
from schuss.engines.tracing.tracer import Trace
from schuss.storage.precision import computable, stored

_KEYWORDS = {"add_scaled": ("add", "alpha"), "addcdiv": ("addcdiv", "value")}
_KEYWORDS["addcmul"] = ("addcmul", "value")
"""What torch calls some operations on lists, and their last operand."""


def plan(cohort: Cohort, rule: Rule, batch: Batch, grad_scale: float | None) -> Step:
    """Plan the step of a cohort: trace, but write nothing."""
    trace = cohort.trace(rule, batch.group, grad_scale)
    grads = [batch.grads[index] for index in cohort.indices]
    return Step(partial(run, cohort, trace, grads), cohort, trace.program)


def run(cohort: Cohort, trace: Trace, grads: Sequence[Tensor]) -> bool:
    """Take a step.

    Args:
        cohort: The cohort.
        trace: What is to be done.
        grads: The gradients, in the order of the cohort.

    Returns:
        Whether the cohort remains as it is: no state has come or gone.
    """
    program = trace.program
    views = _views(cohort, trace)
    inputs = _inputs(cohort, program, grads)
    if views:
        for number, place in enumerate(program.inputs):
            pairs = zip(views, inputs[number], strict=True)
            inputs[number] = [view.folded(tensor, place.form) for view, tensor in pairs]
    player = _Player(program, trace.arguments, inputs, views)
    player.play()
    for place, tensors in player.outputs():
        _store(cohort, place, tensors, views)
    cohort.take_scalars(trace.scalars)
    cohort.write_scalars()
    for key in trace.dropped:
        for state in cohort.states:
            del state[key]
    return not trace.dropped and all(place in program.inputs for place, _ in program.outputs)


def _inputs(cohort: Cohort, program: Program, grads: Sequence[Tensor]) -> list[list[Tensor]]:
    lists = []
    for place in program.inputs:
        if place == COUNT:
            numbers = [computable(param.detach()).numel() for param in cohort.params]
            lists.append([cohort.like.new_tensor(float(number)) for number in numbers])
        else:
            tensors = grads if place.name == GRAD else cohort.tensors(place)
            lists.append([computable(tensor.detach()) for tensor in tensors])
    return lists


def _views(cohort: Cohort, trace: Trace) -> list[FoldedView]:
    """Return how each parameter is seen, if it is seen as anything but itself."""
    if trace.folds is None:
        return []
    return [FoldedView(trace.folds, layout, trace.axes) for layout in cohort.layouts]


def _store(
    cohort: Cohort, place: Place, tensors: list[Tensor], views: Sequence[FoldedView]
) -> None:
    key = place.name.removeprefix(STATE)
    if views:
        tensors = [view.unfolded(x, key) for view, x in zip(views, tensors, strict=True)]
    for param, state, tensor in zip(cohort.params, cohort.states, tensors, strict=True):
        target = param.detach() if place.name == PARAM else state.get(key)
        if target is None:
            value = tensor if cohort.has_master else stored(tensor, param)
            state[key] = value.clone(memory_format=torch.preserve_format)
        elif target.is_complex():
            torch.view_as_real(target).copy_(tensor)
        elif tensor.data_ptr() != target.data_ptr() or tensor.dtype is not target.dtype:
            target.copy_(tensor)


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
        views: Sequence[FoldedView],
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
    function = PRIMITIVES[operation].function
    return [function(*row) for row in zip(*columns, strict=True)]


def _drawn(operation: str, seed: int, like: list[Tensor]) -> list[Tensor]:
    """Return random numbers for every element, the same for the same seed."""
    generator = torch.Generator(like[0].device).manual_seed(seed)
    function = torch.rand if operation == "uniform" else torch.randn
    return [function(x.shape, generator=generator, dtype=x.dtype, device=x.device) for x in like]
