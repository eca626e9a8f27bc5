"""The step of parameters whose rule works on whole tensors, on lists of tensors.

The program of each stage is played, and functions of torch are called with *stacks* in between, as
`kernels/staged.py` does with kernels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from schuss.engines.cohorts.calls import Stacks
from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.traces import Part
from schuss.engines.foreach.kept import Kept
from schuss.engines.foreach.members import pieces
from schuss.engines.foreach.step import Playing, put_into_state
from schuss.engines.program.stages import Cut, Stage


def run_stages(
    cohort: Cohort, part: Part, cut: Cut, grads: Sequence[Tensor | None], kept: Kept
) -> Iterator[int]:
    """Take the step of a part of a cohort, and yield how many of its parameters have been stepped.

    Args:
        cohort: The cohort.
        part: Its parameters, and the numbers.
        cut: The stages.
        grads: The gradients of all parameters of the cohort.
        kept: The knowledge of earlier steps.
    """
    playings = [_playing(cohort, part, stage, grads, kept) for stage in cut.stages]
    given = {index: grad for index, grad in enumerate(grads) if grad is not None}
    for piece in pieces(cohort, cohort.indices_of(part), kept, grads):
        stacks = Stacks(cohort, part, cut, piece.indices, given, piece.positions)
        made: dict[str, list[Tensor]] = {}
        for stage, playing in zip(cut.stages, playings, strict=True):
            if stage is cut.stages[-1]:
                stacks.copy_kept()
            if playing is not None:
                made |= playing.play(piece, _Blocks(stacks, stage, cohort))
            stacks.drop(stage.done)
            stacks.call(stage.runs)
        put_into_state(piece, made | stacks.kept(), part.trace.dropped)
        yield piece.positions.stop


def _playing(
    cohort: Cohort, part: Part, stage: Stage, grads: Sequence[Tensor | None], kept: Kept
) -> Playing | None:
    """Return the program of a stage, to be played; None if it has none."""
    if stage.program is None:
        return None
    trace = part.trace._replace(program=stage.program, matrix_axes=stage.matrix_axes)
    return Playing(cohort, part, trace, grads, kept)


class _Blocks:
    """The blocks that the program of a stage takes and feeds."""

    def __init__(self, stacks: Stacks, stage: Stage, cohort: Cohort) -> None:
        self._stacks = stacks
        self._stage = stage
        self._dtype = cohort.like.dtype
        self._shape = cohort.dimensions.shape

    def taken(self, name: str) -> list[Tensor]:
        """Return the tensors of which a program reads the elements, in the parameter's shape.

        The program writes to parameters and state while it reads them, so they are not these.
        """
        found = self._stacks.read(self._stage.taken[name], apart=True)
        return [x.to(self._dtype).reshape(self._shape) for x in found.unbind()]

    def feed(self, name: str, values: list[Tensor]) -> None:
        """Take the values that a program has computed."""
        stack = self._stacks.new(self._stage.fed[name]).unbind()
        pairs = zip(values, stack, strict=True)
        torch._foreach_copy_(stack, [x.reshape(y.shape) for x, y in pairs])
