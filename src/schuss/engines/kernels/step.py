"""One step of parameters for which a kernel runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from schuss.engines.cohorts.scalars import Indices
from schuss.engines.cohorts.traces import Part
from schuss.engines.devices.device import Launch
from schuss.engines.errors import UnfusableError
from schuss.engines.kernels.binding import Binding
from schuss.engines.kernels.computed import addresses
from schuss.engines.program.program import STATE, Place
from schuss.storage.numbers import NUMBER


class FusedStep:
    """A step of a part of a cohort: prepared, then run, then finished.

    Args:
        binding: The cohort.
        part: Its parameters, and what is to be done.
        launch: The kernel that does it.
        grads: Where the gradients of all parameters of the cohort begin.
    """

    def __init__(
        self, binding: Binding, part: Part, launch: Launch, grads: NDArray[np.int64]
    ) -> None:
        self.binding = binding
        self.part = part
        self.launch = launch
        self._grads = grads
        self._made: dict[str, list[Tensor]] = {}
        self._numbers: dict[str, Tensor] = {}

    @property
    def _indices(self) -> Indices:
        return self.binding.cohort.indices_of(self.part)

    def may_be_left_out(self) -> bool:
        """Tell whether the device may decide if the step is taken, while the host goes on."""
        trace, launch = self.part.trace, self.launch
        makes = launch.new_places or trace.dropped
        is_able = launch.kernel.device.keeps_numbers and not makes
        return is_able and self.binding.cohort.may_put_back(self.part)

    def prepare(self) -> None:
        """Get ready what the kernel reads and writes; the optimizer's own is not changed yet."""
        self._made = {}
        self._prepare(self._new_tensors)

    def finish(self) -> bool:
        """Take what the kernel has left; to do so twice is to do it once.

        Returns:
            Whether the cohort remains as it is: no state has come or gone.
        """
        if self.binding.has_copies:
            self.binding.copy_out(self._indices)
        if not self._made and not self.part.trace.dropped:
            return True
        self.binding.cohort.change(self._indices, self._made, self.part.trace.dropped)
        return False

    def written(self) -> list[Tensor]:
        """Return the tensors that the kernel writes to."""
        cohort = self.binding.cohort
        places = [place for place, _ in self.part.trace.program.outputs]
        indices = self._indices.tolist()
        at = [cohort.tensors(place) for place in places if place.name in self.binding.places]
        return [tensors[index] for tensors in at for index in indices]

    def prepare_sums(self) -> None:
        """Get ready to run with numbers for places of the states that no state has.

        Raises:
            UnfusableError: The rule leaves more than one number for a parameter.
        """
        self._numbers = {}
        self._prepare(self._new_numbers)

    def sums(self) -> dict[str, Tensor | float]:
        """Return the sums of what the rule has left for each parameter, once the kernel has run.

        They are tensors where to read them is to wait for the device.
        """
        part, count = self.part, len(self._indices)
        found = {key: self._sum(of_each) for key, of_each in self._numbers.items()}
        for key, value in part.after.items():
            found[key] = count * (value if isinstance(value, Tensor) else float(value))
        return found | {key: float(c[part.which].sum()) for key, c in part.columns.items()}

    def _sum(self, of_each: Tensor) -> Tensor | float:
        if self.launch.kernel.device.keeps_numbers:
            return of_each.sum(dtype=NUMBER)
        return float(of_each.numpy().sum(dtype=np.float64))

    def _prepare(self, new: Callable[[Place], NDArray[np.int64]]) -> None:
        """Get ready; `new` tells where the numbers go at places that there are no tensors for."""
        part, launch = self.part, self.launch
        about = part.indices, part.arguments, part.which, part.on_device
        launch.prepare(self._grads, *about, self.binding.numbers.of(part.trace))
        for column, place in launch.new_places:
            launch.addresses[column, self._indices] = new(place)
        if self.binding.has_copies:
            self.binding.copy_in(self._indices)

    def _new_tensors(self, place: Place) -> NDArray[np.int64]:
        tensors = self.binding.made(place, self.part.trace, self._indices)
        self._made[place.name.removeprefix(STATE)] = tensors
        return addresses(tensors)

    def _new_numbers(self, place: Place) -> NDArray[np.int64]:
        if not place.per_tensor:
            raise UnfusableError("what is measured has to be one number for each parameter")
        numbers = self.binding.measured(self.launch, place)[: len(self._indices)]
        self._numbers[place.name.removeprefix(STATE)] = numbers
        return numbers.data_ptr() + numbers.element_size() * np.arange(len(numbers))
