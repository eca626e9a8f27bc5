"""Taking a step again: with the kernels of the step before, other numbers and other gradients.

From one step of a training to the next nothing else changes, most of the time. To plan a step anew
makes some twenty objects, which takes longer than the kernel of a small model, and to touch little
of Python's memory counts twice after a kernel has filled the cache with tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from schuss.contract import Group, Rule, State, Work
from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.devices.device import Launch, Run
from schuss.engines.kernels.fused import FusedBatch
from schuss.engines.kernels.step import FusedStep
from schuss.engines.known import Known
from schuss.engines.tracing.replay import Replay
from schuss.engines.turns import Turn


class _OfGroup(NamedTuple):
    """The step of one group.

    Attributes:
        known: The knowledge of the group.
        bound: Its parameters, bound to memory.
        pure: Stands for the rule.
        cohorts: For each cohort itself, its kernel, and what computes its numbers.
    """

    known: Known
    bound: FusedBatch
    pure: object
    cohorts: Sequence[tuple[Cohort, Launch, Replay]]


class Repetition:
    """A step of all groups that consists of kernels, to be taken again.

    Args:
        of_groups: The step of each group.
        run: It runs the kernels of all.
        steps: The steps that they belong to.
    """

    def __init__(self, of_groups: Sequence[_OfGroup], run: Run, steps: Sequence[FusedStep]) -> None:
        self._of_groups = of_groups
        self._run = run
        self._steps = steps
        self._ends: list[tuple[Cohort, State]] = []

    def prepare(self, rules: Sequence[tuple[Rule, object]], groups: Sequence[Group]) -> bool:
        """Take new numbers and gradients; tell whether the step may be taken with them.

        Args:
            rules: The rule of each group, and what stands for it.
            groups: The groups, as they are now. All that a plan depends on is looked at.
        """
        if len(groups) != len(self._of_groups):
            return False
        ends: list[tuple[Cohort, State]] = []
        for of_group, (_, pure), group in zip(self._of_groups, rules, groups):  # noqa: B905
            known, bound, before, cohorts = of_group
            params = known.params
            if group["params"] is not params or known.bound is not bound or pure != before:
                return False
            begins = bound.begins(params)
            if begins is None or bound.missing:
                return False
            for (cohort, launch, replay), begin in zip(cohorts, begins):  # noqa: B905
                # Options, such as the engine, are compared by the replay.
                found = None if cohort.is_broken else replay.numbers(group, cohort.scalars.same)
                if found is None:
                    return False
                arguments, after = found
                launch.prepare(begin, None, arguments, None)
                ends.append((cohort, after))
        self._ends = ends
        self._run.begin()
        return True

    def take(self, skip: Tensor | None = None) -> None:
        """Run the kernels."""
        if not self._run.take(skip):
            written = [tensor for step in self._steps for tensor in step.written()]
            torch.autograd.graph.increment_version(written)

    def finish(self) -> None:
        """Do what is left to do, if the kernels have run; to do so twice is to do it once."""
        if self._run.is_done:
            for cohort, after in self._ends:
                cohort.take_for_all(after)


def repetition_of(turns: Sequence[Turn], works: Sequence[Work], run: Run) -> Repetition | None:
    """Return a step that was taken, to be taken again; None if it depends on more than numbers.

    Args:
        turns: The turns of all groups. All have been bound before, and consist of kernels.
        works: The work of each.
        run: It ran the kernels of all.
    """
    of_groups = []
    for turn, work in zip(turns, works, strict=True):
        bound, pure = turn.known.bound, work.pure
        if not isinstance(bound, FusedBatch) or pure is None or work.grad_scale is not None:
            return None
        if isinstance(turn.group.get("state_storage"), Mapping):  # which may be written into
            return None
        found = [(step.binding.cohort, step.launch, _replay_of(step)) for step in turn.kernels]
        cohorts = [(cohort, launch, replay) for cohort, launch, replay in found if replay]
        if [cohort for cohort, _, _ in cohorts] != list(bound.cohorts):  # one step of each
            return None
        of_groups.append(_OfGroup(turn.known, bound, pure, cohorts))
    return Repetition(of_groups, run, [step for turn in turns for step in turn.kernels])


def _replay_of(step: FusedStep) -> Replay | None:
    """Return what computes the numbers of a step, if nothing else of it may change.

    Random numbers are not drawn for it, because those of a step that then has to be planned would
    be drawn twice.
    """
    part, cohort = step.part, step.binding.cohort
    alike = part.indices is None and part.which is None and not cohort.scalars.own
    keeps = not (part.trace.dropped or step.launch.new_places or step.binding.has_copies)
    on_host = not (cohort.is_capturable or part.on_device)
    replay = cohort.replays.last
    return replay if replay and not replay.draws and alike and keeps and on_host else None
