"""The work of a step: how it is planned, the bytes that kernels move, and operations between."""

from __future__ import annotations

from typing import NamedTuple

import torch

from schuss.contract import Batch, Group, Rule, Stateful, Work
from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.traces import Part
from schuss.engines.engine import Engine
from schuss.engines.errors import UnfusableError
from schuss.engines.groups import wanted
from schuss.engines.known import Known
from schuss.engines.planning import Piece, Planned, Planner
from schuss.engines.program.operations import Form
from schuss.engines.program.program import COUNT, GRAD, STATE, Place, Program
from schuss.engines.program.schedule import schedule
from schuss.engines.program.stages import Cut, Tangle
from schuss.storage.kinds import bytes_of


class Traffic(NamedTuple):
    """How often kernels go through the numbers, and the bytes that they move for each."""

    passes: int
    read: float
    written: float


def planned_for_all(
    engine: Engine, optimizer: Stateful, rule: Rule, group: Group
) -> tuple[Planned, Known]:
    """Return how a step of one group would be taken, if every parameter had a gradient.

    Returns:
        The plan, without anything to call on the loop; and why other engines were passed over.
    """
    engine.write_scalars()
    params = [param for param in group["params"] if param.numel()]
    batch = Batch(group, params, [param.detach() for param in params])
    states = engine.kept.copied(optimizer, group, params)
    known = Known(group["params"])
    planner = Planner(optimizer, Work(rule), states)
    for name in wanted(group):
        if name != "loop":
            try:
                return planner.on(name, known, batch), known
            except UnfusableError as error:
                known.passed_over[name] = str(error)
    return Planned("loop"), known


def traffic_of(piece: Piece) -> Traffic:
    """Return what the kernels of a step move for some parameters."""
    trace = piece.part.trace
    if trace.cut is None:
        return _traffic(piece, trace.program, {})
    found = Traffic(0, 0, 0)
    for stage in trace.cut.stages:
        if stage.program is not None:
            blocks = {**stage.taken, **stage.fed}
            temporary = {name: _itemsize(trace.cut.tangle, b) for name, b in blocks.items()}
            more = _traffic(piece, stage.program, temporary)
            found = Traffic(
                found.passes + more.passes, found.read + more.read, found.written + more.written
            )
    return found


def flops_of(part: Part, cut: Cut) -> int:
    """Return how many floating-point operations functions take for the first parameter of a part.

    They are called on tensors without memory, with the numbers of the step: what a function does
    may depend on them.
    """
    from torch.utils.flop_counter import FlopCounterMode

    from schuss.engines.cohorts.calls import played

    tangle, numbers = cut.tangle, part.numbers()
    first = numbers if part.which is None else numbers[part.which[0]]
    with FlopCounterMode(display=False) as counter:
        for stage in cut.stages:
            for run in stage.runs:
                given = [
                    torch.empty(tangle.shapes[b], dtype=tangle.dtypes[b], device="meta")
                    for b in run.given
                ]
                played(tangle, run, given, first)
    return int(counter.get_total_flops())


def _itemsize(tangle: Tangle, block: int) -> int:
    return tangle.dtypes[block].itemsize


def _bytes_at(cohort: Cohort, place: Place) -> float:
    codec = cohort.codecs.get(place.name.removeprefix(STATE))
    return bytes_of(cohort.tensors(place)[0]) if codec is None else codec.bytes


def _traffic(piece: Piece, program: Program, temporary: dict[str, int]) -> Traffic:
    """Return what the kernel of a program moves, given the bytes of numbers at temporary places."""
    cohort = piece.cohort
    param = cohort.params[0]
    plain = bytes_of(param)
    sizes: dict[str, float] = {GRAD: plain} | {
        place.name: _bytes_at(cohort, place)
        for place in cohort.inputs
        if place.name not in (GRAD, COUNT.name)
    }
    sizes |= temporary
    kept = plain if cohort.weights is None else 4
    functions = [each for each in schedule(program) if each.form is Form.ELEMENT]
    read = [program.inputs[v] for f in functions for v in f.needed if v < len(program.inputs)]
    written = [place for f in functions for place, _ in f.outputs]
    read_bytes, written_bytes = (
        sum(sizes.get(place.name, kept) for place in places if place.form is Form.ELEMENT)
        for places in (read, written)
    )
    return Traffic(len(functions), read_bytes, written_bytes)
