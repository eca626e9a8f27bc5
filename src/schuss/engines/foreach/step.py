"""The step of a part of a cohort, on lists of tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.matrix_view import MatrixView
from schuss.engines.cohorts.traces import Part
from schuss.engines.foreach.instructions import Instructions, instructions
from schuss.engines.foreach.kept import Kept, Numbers
from schuss.engines.foreach.lists import Generators
from schuss.engines.foreach.members import Members, pieces
from schuss.engines.foreach.player import play
from schuss.engines.program.program import COUNT, GRAD, PARAM, STATE, Place, Program
from schuss.engines.program.stages import TEMPORARY
from schuss.engines.tracing.tracer import Trace
from schuss.storage.codecs import Encoded, copy_all
from schuss.storage.kinds import CODES
from schuss.storage.precision import HALF, stored

_PARAM = Place(PARAM)

_COPIED = HALF | CODES.keys()
"""The dtypes of tensors that a rule sees copies of."""


class Blocks(Protocol):
    """The tensors at temporary places of a program, by their names; `staged.py` has them."""

    def taken(self, name: str) -> list[Tensor]:
        """Return the tensors of which a program reads the elements."""

    def feed(self, name: str, values: list[Tensor]) -> None:
        """Take the values that a program has computed."""


def run(cohort: Cohort, part: Part, grads: Sequence[Tensor | None], kept: Kept) -> Iterator[int]:
    """Take the step of a part of a cohort, and yield how many of its parameters have been stepped.

    Args:
        cohort: The cohort.
        part: Its parameters, the operations, and the numbers.
        grads: The gradients of all parameters of the cohort.
        kept: The knowledge of earlier steps.
    """
    playing = Playing(cohort, part, part.trace, grads, kept)
    by_number = playing.is_by_number and not part.trace.dropped
    for piece in pieces(cohort, cohort.indices_of(part), kept, grads, by_number=by_number):
        put_into_state(piece, playing.play(piece), part.trace.dropped)
        yield piece.done


def put_into_state(
    members: Members, made: Mapping[str, Sequence[Tensor]], dropped: Collection[str]
) -> None:
    """Put the state that a step has made for some parameters in its place."""
    if made or dropped:
        members.cohort.is_broken = True
        members.cohort.change(np.array(members.indices), made, dropped)


class Playing:
    """A program with its numbers, to be played for some parameters after the other.

    Args:
        cohort: The cohort of the parameters.
        part: The part of it.
        trace: The program, and the axes of its matrices.
        grads: The gradients of all parameters of the cohort.
        kept: The knowledge of earlier steps.
    """

    def __init__(
        self,
        cohort: Cohort,
        part: Part,
        trace: Trace,
        grads: Sequence[Tensor | None],
        kept: Kept,
    ) -> None:
        self._cohort = cohort
        self._trace = trace
        self._grads = grads
        program, indices = trace.program, cohort.indices_of(part)

        def made() -> Instructions:
            copies = _copies(cohort, program, indices.tolist(), grads)
            return instructions(program, copies, on_cpu=cohort.like.is_cpu)

        self._plan = kept.plan(indices.tobytes(), program, made)
        self._numbers = _numbers(self._plan.instructions, part)
        self._common = self._with_singles(self._numbers) if part.which is None else []
        self._generators: Generators = {}

    @property
    def is_by_number(self) -> bool:
        """Whether what becomes of a number depends on no other number of its parameter."""
        return self._trace.matrix_axes is None and self._trace.program.is_by_number

    def play(self, members: Members, blocks: Blocks | None = None) -> dict[str, list[Tensor]]:
        """Play the program on some parameters, and return the state that it has made for them.

        Args:
            members: The parameters.
            blocks: The tensors at temporary places, if it has such places.
        """
        numbers = self._common or self._with_singles(
            [_of(x, members.positions) for x in self._numbers]
        )
        with torch.no_grad():
            return self._played(members, numbers, blocks)

    def _played(
        self, members: Members, numbers: Numbers, blocks: Blocks | None
    ) -> dict[str, list[Tensor]]:
        cohort, trace, plan = self._cohort, self._trace, self._plan.instructions
        views = _views(cohort, trace, members.indices)

        def seen(place: Place) -> list[Tensor]:
            if blocks is not None and place.name.startswith(TEMPORARY):
                return _seen(views, place, blocks.taken(place.name))
            found = members.seen(place, self._grads)
            return _seen(views, place, found) if views else found

        inputs = {number: seen(place) for number, place in plan.inputs.items()}
        like = inputs.get(plan.param) or seen(_PARAM)
        values = play(plan, numbers, inputs, like, self._generators, views)
        made: dict[str, list[Tensor]] = {}
        for output, value in zip(plan.outputs, values, strict=True):
            if output.there and not views:
                continue
            if blocks is not None and output.place.name.startswith(TEMPORARY):
                blocks.feed(output.place.name, value)
                continue
            key, tensors = output.place.name.removeprefix(STATE), value
            if views:
                tensors = [view.as_state(x, key) for view, x in zip(views, value, strict=True)]
            if output.place in trace.program.inputs:
                _store(members.tensors(output.place), tensors, seen=bool(views))
            else:
                pairs = zip(tensors, members.params, strict=True)
                made[key] = [_new(cohort, tensor, param) for tensor, param in pairs]
        return made

    def _with_singles(self, numbers: Sequence[float | list[float]]) -> Numbers:
        return self._plan.with_singles(numbers, self._cohort.like.dtype)


def _copies(
    cohort: Cohort, program: Program, indices: Sequence[int], grads: Sequence[Tensor | None]
) -> frozenset[int]:
    """Return the inputs of a program that a rule sees copies of."""
    found = []
    for number, place in enumerate(program.inputs):
        if place.name == GRAD:
            own = (grad for index in indices if (grad := grads[index]) is not None)
            is_copied = all(grad.dtype in HALF for grad in own)
        else:
            is_own = place != COUNT and not place.name.startswith(TEMPORARY)
            is_copied = is_own and _is_copied(_first(cohort, place, indices[0]))
        if is_copied:
            found.append(number)
    return frozenset(found)


def _is_copied(tensor: Tensor) -> bool:
    return isinstance(tensor, Encoded) or tensor.dtype in _COPIED


def _first(cohort: Cohort, place: Place, index: int) -> Tensor:
    """Return a tensor at a place, of which all have one dtype."""
    if not place.name.startswith(STATE):
        return cohort.params[index]
    found: Tensor = cohort.states[index][place.name.removeprefix(STATE)]
    return found


def _numbers(plan: Instructions, part: Part) -> Sequence[float | list[float]]:
    """Return the arguments and factors of a program for the parameters of a part."""
    numbers_of = plan.contracted.numbers
    if part.which is None:
        return numbers_of(list(part.numbers()))
    sets = [numbers_of(arguments) for arguments in np.asarray(part.numbers()).tolist()]
    which = part.which.tolist()
    columns = zip(*sets, strict=True)
    return [c[0] if len(set(c)) == 1 else [c[number] for number in which] for c in columns]


def _of(numbers: float | list[float], positions: slice) -> float | list[float]:
    """Return the numbers of some parameters, one number if they have it in common."""
    if not isinstance(numbers, list):
        return numbers
    own = numbers[positions]
    return own[0] if len(set(own)) == 1 else own


def _seen(views: Sequence[MatrixView], place: Place, tensors: list[Tensor]) -> list[Tensor]:
    if not views:
        return tensors
    return [view.seen(x, place.form) for view, x in zip(views, tensors, strict=True)]


def _views(cohort: Cohort, trace: Trace, indices: Sequence[int]) -> list[MatrixView]:
    if trace.matrix_axes is None:
        return []
    layouts = cohort.layouts
    return [MatrixView(trace.matrix_axes, layouts[index], trace.axes) for index in indices]


def _store(targets: list[Tensor], values: list[Tensor], *, seen: bool) -> None:
    """Write values into the tensors at a place; as these are seen, they may be there already."""
    if isinstance(targets[0], Encoded) or not (seen or targets[0].is_complex()):
        copy_all(targets, values)
        return
    for target, value in zip(targets, values, strict=True):
        kept = target.detach()
        if kept.is_complex():
            torch.view_as_real(kept).copy_(value)
        elif value.data_ptr() != kept.data_ptr() or value.dtype is not kept.dtype:
            kept.copy_(value)


def _new(cohort: Cohort, value: Tensor, param: Tensor) -> Tensor:
    """Return state that a rule has made, as it is kept."""
    value = stored(value, param) if cohort.weights is None else value
    return value.clone(memory_format=torch.preserve_format)
