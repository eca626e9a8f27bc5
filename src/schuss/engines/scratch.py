"""The memory that a step takes for a while, told before it is taken.

Each engine is asked about a step of parameters that have a shape and no memory, on torch's meta
device: of what a kernel keeps from pass to pass the layout is known, and all that functions of
torch allocate is counted.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from schuss.contract import Batch, Group, Rule, Stateful, States, Work
from schuss.engines import loop
from schuss.engines.allocations import peak_of
from schuss.engines.cohorts.calls import Stacks
from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.contents import Member, Needs
from schuss.engines.cohorts.divided import divided
from schuss.engines.cohorts.traces import Part
from schuss.engines.devices.device import device_for
from schuss.engines.devices.layout import Layout
from schuss.engines.devices.tables.chunks import CHUNK
from schuss.engines.devices.tables.tiles import numbers, tiles
from schuss.engines.errors import Request, UnfusableError
from schuss.engines.foreach.kept import Kept
from schuss.engines.foreach.staged import run_stages
from schuss.engines.foreach.step import run as run_on_lists
from schuss.engines.groups import wanted
from schuss.engines.kernels.staged import chunk_on
from schuss.engines.program.program import Program
from schuss.engines.program.schedule import schedule
from schuss.engines.stacked.step import StackedStep
from schuss.storage.codecs.encoded import pieces_as_on
from schuss.storage.kinds import Kinds
from schuss.storage.precision import real_count

CHUNK_WORDS = 3
"""The numbers of an entry of a table of chunks."""

_KINDS = Kinds("float64", (), "float64")
"""Kinds that play no part in the size of what a kernel keeps: float64, in all cases."""


class Scratch(NamedTuple):
    """The memory that an engine takes for a step of one group.

    Attributes:
        engine: The engine.
        kept: Bytes that it takes for the whole step, or keeps from one to the next.
        passing: Bytes that it gives back before the next group.
    """

    engine: str
    kept: int
    passing: int | None


def scratch(
    optimizer: Stateful, rule: Rule, group: Group, states: States, device: torch.device
) -> Scratch:
    """Return the memory that a step of all parameters of a group takes for a while.

    Args:
        optimizer: Whose rule it is.
        rule: The rule.
        group: The group.
        states: Its parameters, on the meta device, and their states.
        device: The device that they will be on.

    Returns:
        The memory; what passes is None if it cannot be told, because the rule reads values.
    """
    params = [param for param in states if param.numel()]
    batch = Batch(group, params, [torch.empty_like(param) for param in params])
    for name in wanted(group):
        with suppress(UnfusableError), pieces_as_on(device):
            try:
                return Scratch(name, *_on(name, optimizer, rule, batch, states, device))
            except UnfusableError:
                raise
            except Exception:  # noqa: BLE001  # a rule that reads values fails on the meta device
                return Scratch(name, 0, None)
    return Scratch("loop", 0, None)


def _on(
    name: str, optimizer: Stateful, rule: Rule, batch: Batch, states: States, device: torch.device
) -> tuple[int, int]:
    """Return the bytes that an engine takes, those that stay and those that pass.

    Raises:
        UnfusableError: It cannot run the rule.
    """
    if name == "stacked":
        step = StackedStep(optimizer, states, Work(rule), batch, {})
        step.check()
        return 0, peak_of(step)
    if name == "loop":
        kinds = {(p.shape, p.dtype): (p, g) for p, g in zip(*batch[1:], strict=True)}
        alone = [Batch(batch.group, [param], [grad]) for param, grad in kinds.values()]
        runs = [partial(loop.run, optimizer, states, rule, each, None) for each in alone]
        return 0, max(map(peak_of, runs), default=0)
    found = _traced(rule, batch, states, Needs())
    if name == "fused":
        device_for(device)
        stages = [_of_stages(*each, device) for each in found]
        return sum(_of_kernels(*each) for each in found), max(stages, default=0)
    return 0, max((_of_lists(*each, batch, device) for each in found), default=0)


def _traced(rule: Rule, batch: Batch, states: States, needs: Needs) -> list[tuple[Cohort, Part]]:
    """Return the cohorts of a group, and what the rule does with them."""
    members = [Member(param, states[param], param.dtype) for param in batch.params]
    try:
        cohorts = divided(batch.group, members, needs)
        return [(c, part) for c in cohorts for part in c.trace(Work(rule), batch.group)]
    except Request as request:
        return _traced(rule, batch, states, needs.after(request))


def _of_kernels(cohort: Cohort, part: Part) -> int:
    """Return the bytes of the tables and the partial results of the kernels for some parameters."""
    cut = part.trace.cut
    if cut is None:
        return _of_kernel(cohort, part.trace.program, part.trace.matrix_axes)
    programs = [(stage.program, stage.matrix_axes) for stage in cut.stages]
    return sum(_of_kernel(cohort, program, axes) for program, axes in programs if program)


def _of_kernel(cohort: Cohort, program: Program, matrix_axes: Any) -> int:
    layout = Layout(program, schedule(program), _KINDS)
    count, slots = len(cohort.params), 0
    if matrix_axes is None:
        entries = sum(-(-real_count(param) // CHUNK) for param in cohort.params)
        table = entries * CHUNK_WORDS
    else:
        block = max((codec.block for codec in cohort.codecs.values()), default=1)
        sizes = [matrix_axes.sizes(each.sizes) for each in cohort.layouts]
        tiled, shapes = tiles(sizes, block=block)
        entries, table = len(tiled.entries), tiled.entries.size
        for slot in layout.slots:
            slots += int(numbers(shapes, slot.form, partials=slot.partials).sum())
    columns = len(layout.columns) + len(layout.slots) + 1
    return 8 * (table + columns * count + len(layout.totals) * (count + entries) + slots)


def _of_stages(cohort: Cohort, part: Part, device: torch.device) -> int:
    """Return the bytes of stacks, and of what functions of whole tensors allocate between them."""
    cut = part.trace.cut
    if cut is None:
        return 0
    most = max(1, chunk_on(device) // cohort.params[0].numel())
    indices = cohort.indices_of(part)[:most]
    at = slice(0, len(indices))
    if part.which is not None:
        part = part._replace(which=np.zeros_like(part.which))
    grads = {index: torch.empty_like(cohort.params[index]) for index in indices.tolist()}

    def step() -> None:
        stacks = Stacks(cohort, part, cut, indices.tolist(), grads, at)
        for number, stage in enumerate(cut.stages):
            if number == len(cut.stages) - 1:
                stacks.copy_kept()
            alive = [stacks.read(block) for block in stage.taken.values()]
            alive += [stacks.new(block) for block in stage.fed.values()]
            del alive
            stacks.drop(stage.done)
            stacks.call(stage.runs)

    return peak_of(step)


def _of_lists(cohort: Cohort, part: Part, batch: Batch, device: torch.device) -> int:
    """Return the bytes of new lists, and of stacks, of the piece with most of them."""
    cohort.like = torch.empty(0, dtype=cohort.like.dtype, device=device)  # as large as its pieces
    grads = dict(zip(batch.params, batch.grads, strict=True))
    given = [grads[param] for param in cohort.params]
    cut = part.trace.cut
    if cut is None:
        return peak_of(lambda: sum(run_on_lists(cohort, part, given, Kept())))
    return peak_of(lambda: sum(run_stages(cohort, part, cut, given, Kept())))
