"""The kernels of one step of an optimizer, and what is left to do when they have run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.traces import Part
from schuss.engines.devices.device import Device, Launch, Run
from schuss.engines.kernels.step import FusedStep


class _Runs:
    """The kernels of a step on devices of several kinds, which run one kind after the other.

    Args:
        launches: The launches, prepared.
    """

    def __init__(self, launches: Sequence[Launch]) -> None:
        self.launches = launches
        kinds: dict[Device, list[Launch]] = {}
        for launch in launches:
            kinds.setdefault(launch.kernel.device, []).append(launch)
        self._runs = [device.run(of_kind) for device, of_kind in kinds.items()]

    @property
    def is_done(self) -> bool:
        """Whether all of them have run since `begin`."""
        return all(run.is_done for run in self._runs)

    def begin(self) -> None:
        """Note that they are yet to run."""
        for run in self._runs:
            run.begin()

    def take(self, skip: Tensor | None = None) -> bool:
        """Run them, and tell whether that has raised the versions of what they write to."""
        raised = [run.take(skip) for run in self._runs]
        return all(raised)


def _run_of(launches: Sequence[Launch]) -> Run:
    device = launches[0].kernel.device
    if all(launch.kernel.device is device for launch in launches):
        return device.run(launches)
    return _Runs(launches)


class Commit:
    """A step that happens or does not, also if a signal cuts Python off.

    Python does not run between the first kernel that writes and the note that all have run. The
    bookkeeping that follows (numbers in the states, for one) may be cut off: the next caller of the
    engine ends it, because to do it twice is to do it once.

    Args:
        steps: The steps of all cohorts.
        run: The run of the step before, to be taken again if it is of the same kernels.

    Attributes:
        run: The run that was taken: the earlier one, or another.
    """

    def __init__(self, steps: Sequence[FusedStep], run: Run | None) -> None:
        self._steps = steps
        self._skip: Tensor | None = None
        for step in steps:
            step.prepare()
        launches = [step.launch for step in steps]
        self.run = run if run is not None and run.launches == launches else _run_of(launches)
        self.run.begin()

    def take(self, skip: Tensor | None = None) -> None:
        """Run the kernels.

        Args:
            skip: A number on their device that is not 0 if they are to change nothing, or None.
        """
        self._skip = skip
        if not self.run.take(skip):
            written = [tensor for step in self._steps for tensor in step.written()]
            torch.autograd.graph.increment_version(written)

    def finish(self) -> None:
        """Do what is left to do, if the kernels have run; to do so twice is to do it once."""
        if not self.run.is_done:
            return
        if len(self._steps) == 1:  # as most often
            (step,) = self._steps
            self._finish(step.binding.cohort, [step.part], remains=step.finish())
            return
        parts: dict[Cohort, list[Part]] = {}
        for step in self._steps:
            cohort = step.binding.cohort
            parts.setdefault(cohort, []).append(step.part)
            if not step.finish():
                cohort.is_broken = True
        for cohort, taken in parts.items():
            self._finish(cohort, taken, remains=not cohort.is_broken)

    def _finish(self, cohort: Cohort, parts: Sequence[Part], *, remains: bool) -> None:
        """Take the numbers of a cohort, and write them down if it does not remain one."""
        if not cohort.take(parts, self._skip) or not remains or cohort.is_broken:
            cohort.is_broken = True
            cohort.write_scalars()
