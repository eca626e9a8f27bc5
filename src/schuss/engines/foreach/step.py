"""The step of a part of a cohort, on lists of tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.matrix_view import MatrixView
from schuss.engines.cohorts.traces import Part
from schuss.engines.foreach.instructions import Instructions, instructions
from schuss.engines.foreach.lists import Operand, single
from schuss.engines.foreach.members import Kept, Members, pieces
from schuss.engines.foreach.player import play
from schuss.engines.program.program import COUNT, GRAD, PARAM, STATE, Place, Program
from schuss.engines.tracing.tracer import Trace
from schuss.storage.precision import HALF, stored

Numbers = Sequence["Operand | Tensor"]
"""The numbers of a program: each a number, one for each parameter, or a number as a tensor."""


def run(cohort: Cohort, part: Part, grads: Sequence[Tensor | None], kept: Kept) -> None:
    """Take the step of a part of a cohort.

    Args:
        cohort: The cohort.
        part: Its parameters, the operations, and the numbers.
        grads: The gradients of all parameters of the cohort.
        kept: The lists that are kept from step to step.
    """
    trace = part.trace
    indices = cohort.indices_of(part)
    copies = _copies(cohort, trace.program, indices.tolist(), grads)
    plan = instructions(trace.program, copies, on_cpu=cohort.like.is_cpu)
    numbers = _numbers(plan, part)
    common = _with_singles(plan, numbers, cohort.like.dtype) if part.which is None else []
    made: dict[str, list[Tensor]] = {}
    for piece in pieces(cohort, indices, kept, whole=plan.draws):
        own = common or _with_singles(
            plan, [_of(x, piece.positions) for x in numbers], cohort.like.dtype
        )
        with torch.no_grad():
            found = _played(piece, trace, plan, own, grads)
        for key, tensors in found.items():
            made.setdefault(key, []).extend(tensors)
    if made or trace.dropped:
        cohort.is_broken = True
        cohort.change(indices, made, trace.dropped)


def _played(
    members: Members,
    trace: Trace,
    plan: Instructions,
    numbers: Numbers,
    grads: Sequence[Tensor | None],
) -> dict[str, list[Tensor]]:
    """Play a program on some parameters, and return the state that it has made for them."""
    cohort = members.cohort
    views = _views(cohort, trace, members.indices)
    inputs = {n: _seen(views, p, members.seen(p, grads)) for n, p in plan.inputs.items()}
    param = Place(PARAM)
    like = inputs.get(trace.program.inputs.index(param))
    like = like or _seen(views, param, members.seen(param, grads))
    values = play(plan, numbers, inputs, like, views)
    made: dict[str, list[Tensor]] = {}
    for output, value in zip(plan.outputs, values, strict=True):
        if output.there and not views:
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
            is_copied = place != COUNT and _first(cohort, place, indices[0]).dtype in HALF
        if is_copied:
            found.append(number)
    return frozenset(found)


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


def _with_singles(
    plan: Instructions, numbers: Sequence[float | list[float]], dtype: torch.dtype
) -> Numbers:
    """Return numbers, and after them those that are needed as tensors."""
    needed = (numbers[number] for number in plan.singles)
    return [*numbers, *(x if isinstance(x, list) else single(x, dtype) for x in needed)]


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
    if not seen and not targets[0].is_complex():
        torch._foreach_copy_(targets, values)
        return
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
