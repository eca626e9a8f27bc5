"""The cohorts of a group, as the foreach engine keeps them from step to step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor

from schuss.contract import Group, States, Work
from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.scalars import Indices
from schuss.engines.cohorts.traces import Part
from schuss.engines.cohorts.untouched import Looking, are_untouched
from schuss.engines.foreach.kept import Kept
from schuss.engines.foreach.staged import run_stages
from schuss.engines.foreach.step import run
from schuss.engines.heap import hold_freed_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

Call = Callable[[], None]
"""Takes a part of a step."""


class Look(Looking, Protocol):
    """Looks at the memory of all tensors of a group; `kernels/gradients.py` has it."""

    missing: int

    def look(self, params: Sequence[Tensor]) -> NDArray[np.int64] | None:
        """Return where gradients begin, 0 for none; None if anything but them has changed."""

    def release(self) -> None:
        """Let go of the gradients."""


class ForeachBatch:
    """The cohorts of a group, from step to step.

    Args:
        cohorts: The cohorts.
        params: The parameters that are stepped, in the order in which the look finds gradients.
        look: Looks at their memory, and at that of their states.
    """

    def __init__(self, cohorts: Sequence[Cohort], params: Sequence[Tensor], look: Look) -> None:
        hold_freed_memory()
        self.cohorts = cohorts
        index = {id(param): number for number, param in enumerate(params)}
        self._indices = [np.array([index[id(param)] for param in c.params]) for c in cohorts]
        self._kept = [Kept() for _ in cohorts]
        self._look = look

    def is_broken(self) -> bool:
        """Tell whether some cohort is none any more."""
        return any(cohort.is_broken for cohort in self.cohorts)

    def is_untouched(self, states: States) -> bool:
        """Tell whether a step may go on, though somebody else could reach the states."""
        return are_untouched(self.cohorts, self._look, states)

    def release(self) -> None:
        """Let go of the gradients that `plan` has kept alive."""
        self._look.release()

    def plan(self, work: Work, group: Group) -> list[Call] | None:
        """Plan a step: trace, but write nothing.

        Args:
            work: The rule, and what is done around it.
            group: The group.

        Returns:
            The calls that take the step. Or None, if anything but gradients has changed since the
            batch was made, or a gradient is not as it was.
        """
        found = self._look.look(group["params"])
        if found is None:
            return None
        calls: list[Call] = []
        for cohort, at, kept in zip(self.cohorts, self._indices, self._kept, strict=True):
            grads = [param.grad for param in cohort.params]
            begins = found[at]
            indices = None if not self._look.missing or begins.all() else np.flatnonzero(begins)
            if indices is None or len(indices):
                calls.append(planned(cohort, work, group, grads, indices, kept)[0])
        return calls


def planned(
    cohort: Cohort,
    work: Work,
    group: Group,
    grads: Sequence[Tensor | None],
    indices: Indices | None = None,
    kept: Kept | None = None,
) -> tuple[Call, list[Part]]:
    """Plan the step of a cohort: trace, but write nothing.

    Args:
        cohort: The cohort.
        work: The rule, and what is done around it.
        group: The group.
        grads: The gradient of each parameter, or None.
        indices: The parameters that have one; None for all.
        kept: The knowledge of earlier steps.

    Returns:
        The call that takes the step, and the parts that the cohort is divided into.
    """
    parts = cohort.trace(work, group, indices)
    return partial(_take, cohort, parts, grads, Kept() if kept is None else kept), parts


def _take(
    cohort: Cohort, parts: Sequence[Part], grads: Sequence[Tensor | None], kept: Kept
) -> None:
    """Take the step of a cohort, and the numbers that it has left.

    If a function of torch fails, the parameters before it have been stepped, with their numbers.
    """
    stepped = [0] * len(parts)
    try:
        for number, part in enumerate(parts):
            cut = part.trace.cut
            counts = (
                run(cohort, part, grads, kept)
                if cut is None
                else run_stages(cohort, part, cut, grads, kept)
            )
            for count in counts:
                stepped[number] = count
    finally:
        pairs = zip(parts, stepped, strict=True)
        taken = [part.first(count, cohort.indices_of(part)) for part, count in pairs if count]
        if not cohort.take(taken) or cohort.is_broken:
            cohort.is_broken = True
            cohort.write_scalars()
