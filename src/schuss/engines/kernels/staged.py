"""One step of parameters whose rule works on whole tensors, stage by stage.

The programs of the stages are kernels. Between two of them functions of torch are called with
*stacks*: a stack has a block of each of several parameters, one after the other in memory. Kernels
write into stacks and read from them. Parameters are stepped a few at a time, so that the stacks
take little memory and stay in a cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from schuss.engines.cohorts.calls import Stacks
from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.scalars import Indices
from schuss.engines.cohorts.traces import Part
from schuss.engines.devices.device import Kernel, Launch, Numbers
from schuss.engines.kernels.binding import Binding
from schuss.engines.kernels.computed import addresses
from schuss.engines.program.program import STATE, Program
from schuss.engines.program.stages import EMPTY, TEMPORARY, Cut, Stage

CHUNK = 2**18
"""The numbers of the parameters that are stepped at a time, unless one alone has more: a stack of
1 MB in float32. With twice as many, the allocator gives the memory back to the system after each
stack, and a step of Muon took 1.1 to 1.3 times as long, with matrices of 64 to 1024 rows."""

LARGE_CHUNK = 2**24
"""The same on a GPU, a stack of 64 MB in float32: a function that is called for a few matrices
takes no less time than for many, while these leave some of a GPU idle. It has not been measured."""


def chunk_on(device: torch.device) -> int:
    """Return the numbers of the parameters that are stepped at a time on a device."""
    return CHUNK if device.type == "cpu" else LARGE_CHUNK


class StagedStep:
    """A step of a cohort whose rule works on whole tensors, to be called.

    Args:
        binding: The cohort.
        parts: Its parameters, and what is to be done.
        grads: The gradients, by the index of their parameter; None for those that parameters have.
        begins: Where they begin.

    Attributes:
        skip: A number on the device that is not 0 if the step is to change nothing, or None.
    """

    def __init__(
        self,
        binding: Binding,
        parts: Sequence[Part],
        grads: Mapping[int, Tensor] | None,
        begins: NDArray[np.int64],
    ) -> None:
        self._binding = binding
        self._parts = parts
        self._staged = [_StagedPart(binding, part, grads, begins) for part in parts]
        self.skip: Tensor | None = None

    @property
    def cohort(self) -> Cohort:
        """The cohort."""
        return self._binding.cohort

    def kernels(self) -> list[tuple[Part, Kernel]]:
        """Return each part, and the kernel of its last stage."""
        return [(staged.part, staged.kernel) for staged in self._staged]

    def may_be_left_out(self) -> bool:
        """Tell whether the device may decide if the step is taken, while the host goes on."""
        return self.cohort.is_capturable and all(each.may_be_left_out() for each in self._staged)

    def __call__(self) -> None:
        """Take the step.

        Raises:
            Exception: A function has failed. The parameters before it have been stepped in full,
                and the others not at all.
        """
        try:
            for staged in self._staged:
                staged.take(self.skip)
        finally:
            self._finish()

    def _finish(self) -> None:
        """Put what the step has left into the states of the parameters that have been stepped."""
        cohort = self.cohort
        parts = [staged.finish() for staged in self._staged]
        if not cohort.take([part for part in parts if part], self.skip) or cohort.is_broken:
            cohort.is_broken = True
            cohort.write_scalars()


class _StagedPart:
    """The parameters of a cohort for which the rule has made the same stages.

    Attributes:
        part: The parameters, and what is done to them.
        kernel: The kernel of the last stage.
    """

    def __init__(
        self,
        binding: Binding,
        part: Part,
        grads: Mapping[int, Tensor] | None,
        begins: NDArray[np.int64],
    ) -> None:
        self._binding = binding
        self.part = part
        self._grads = grads
        self._begins = begins
        self._indices = binding.cohort.indices_of(part)
        trace, count = part.trace, len(binding.cohort.params)
        self._runs = -(-count // self._at_once)
        alone = Stage(trace.program, trace.matrix_axes, {}, {}, ())
        self._cut = trace.cut or Cut(EMPTY, (alone,), {})
        self._launches = [
            None if stage.program is None else self._launch(number, stage, stage.program)
            for number, stage in enumerate(self._cut.stages)
        ]
        *_, self.kernel = (launch.kernel for launch in self._launches if launch)
        self._numbers = self._numbers_of_launches(binding.numbers.of(trace))
        self._made: dict[str, list[Tensor]] = {}
        self._skip: Tensor | None = None
        self._stepped = 0

    @property
    def _at_once(self) -> int:
        """How many parameters are stepped at a time."""
        first = self._binding.cohort.params[0]
        return max(1, chunk_on(first.device) // first.numel())

    def _numbers_of_launches(self, numbers: Numbers | None) -> dict[Launch, Numbers]:
        """Return what computes the numbers of each launch: the first, and for all others it has."""
        if numbers is None:
            return {}
        first, *others = (launch for launch in self._launches if launch)
        return {first: numbers} | dict.fromkeys(others, numbers._replace(found_by=first))

    def may_be_left_out(self) -> bool:
        """Tell whether kernels alone write what remains, where it was before."""
        places = [place for launch in self._launches if launch for _, place in launch.new_places]
        is_new = any(not place.name.startswith(TEMPORARY) for place in places)
        by_torch = self._cut.kept or self.part.trace.dropped or self._binding.has_copies
        return not (is_new or by_torch) and self._binding.cohort.may_put_back(self.part)

    def take(self, skip: Tensor | None) -> None:
        """Take the step, some parameters at a time.

        Args:
            skip: A number on the device that is not 0 if the step is to change nothing, or None.
        """
        self._skip = skip
        indices, count = self._indices, self._at_once
        for begin in range(0, len(indices), count):
            self._step(indices[begin : begin + count], slice(begin, begin + count))
            self._stepped = min(begin + count, len(indices))

    def finish(self) -> Part | None:
        """Put new state in its place; return the part of the parameters that have been stepped."""
        if not self._stepped:
            return None
        cohort, dropped = self._binding.cohort, self.part.trace.dropped
        part = self.part.first(self._stepped, self._indices)
        if self._made or dropped:
            cohort.is_broken = True
            cohort.change(cohort.indices_of(part), self._made, dropped)
        return part

    def _launch(self, number: int, stage: Stage, program: Program) -> Launch:
        trace = self.part.trace._replace(program=program, matrix_axes=stage.matrix_axes)
        known = self._cut.tangle.dtypes
        dtypes = {name: known[block] for name, block in {**stage.taken, **stage.fed}.items()}
        return self._binding.launch(trace, number, dtypes, self._runs)

    def _step(self, indices: Indices, at: slice) -> None:
        """Take the step of some parameters."""
        cohort = self._binding.cohort
        stacks = Stacks(cohort, self.part, self._cut, indices.tolist(), self._grads, at)
        if self._binding.has_copies:
            self._binding.copy_in(indices)
        for number, (stage, launch) in enumerate(
            zip(self._cut.stages, self._launches, strict=True)
        ):
            if number == len(self._cut.stages) - 1:
                stacks.copy_kept()
            if launch is not None:
                self._run(launch, stage, stacks, indices)
            stacks.drop(stage.done)
            stacks.call(stage.runs)
        if self._binding.has_copies:
            self._binding.copy_out(indices)
        for key, tensors in stacks.kept().items():
            self._made.setdefault(key, []).extend(tensors)

    def _run(self, launch: Launch, stage: Stage, stacks: Stacks, indices: Indices) -> None:
        """Run the kernel of a stage for some parameters."""
        part = self.part
        which = None if part.which is None else part.which[stacks.at]
        about = part.arguments, which, part.on_device, self._numbers.get(launch)
        launch.prepare(self._begins, indices, *about)
        alive = []
        for column, place in launch.new_places:
            if place.name.startswith(TEMPORARY):
                block = {**stage.taken, **stage.fed}[place.name]
                stack = stacks.read(block) if place.name in stage.taken else stacks.new(block)
                launch.addresses[column, indices] = _begins(stack)
                alive.append(stack)
                continue
            tensors = self._binding.made(place, part.trace, indices)
            self._made.setdefault(place.name.removeprefix(STATE), []).extend(tensors)
            launch.addresses[column, indices] = addresses(tensors)
        run = self._binding.run(launch)
        run.begin()
        if not run.take(self._skip):
            torch.autograd.graph.increment_version(self._written(stage.program, indices))

    def _written(self, program: Program | None, indices: Indices) -> list[Tensor]:
        """Return the tensors of the optimizer that a program writes to."""
        outputs = program.outputs if program else ()
        places = [place for place, _ in outputs if place.name in self._binding.places]
        at = [self._binding.cohort.tensors(place) for place in places]
        return [tensors[index] for tensors in at for index in indices.tolist()]


def _begins(stack: Tensor) -> NDArray[np.int64]:
    """Return where the numbers of each tensor of a stack without gaps begin."""
    apart = stack.stride(0) * stack.itemsize
    return stack.data_ptr() + apart * np.arange(len(stack), dtype=np.int64)
