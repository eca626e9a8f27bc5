"""One step of parameters for which a kernel runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from schuss.engines.cohorts.scalars import Rows
from schuss.engines.cohorts.traces import Part
from schuss.engines.errors import UnfusableError
from schuss.engines.kernels.binding import Binding, addresses
from schuss.engines.kernels.launch import Launch
from schuss.engines.program.program import STATE


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

    @property
    def _rows(self) -> Rows:
        return self.binding.cohort.rows_of(self.part)

    def prepare(self) -> None:
        """Get ready what the kernel reads and writes; the optimizer's own is not changed yet."""
        part, launch = self.part, self.launch
        launch.prepare(self._grads, part.rows, part.arguments, part.which)
        for column, place in launch.new_places:
            tensors = self.binding.made(place, part.trace, self._rows)
            self._made[place.name.removeprefix(STATE)] = tensors
            launch.addresses[column, self._rows] = addresses(tensors)
        if self.binding.has_copies:
            self.binding.copy_in(self._rows)

    def finish(self) -> bool:
        """Take what the kernel has left; to do so twice is to do it once.

        Returns:
            Whether the cohort remains as it is: no state has come or gone.
        """
        if self.binding.has_copies:
            self.binding.copy_out(self._rows)
        if not self._made and not self.part.trace.dropped:
            return True
        states = self.binding.cohort.states
        for key, tensors in self._made.items():
            for row, tensor in zip(self._rows.tolist(), tensors, strict=True):
                states[row][key] = tensor
        for key in self.part.trace.dropped:
            for row in self._rows.tolist():
                states[row].pop(key, None)
        return False

    def written(self) -> list[Tensor]:
        """Return the tensors that the kernel writes to."""
        cohort = self.binding.cohort
        places = [place for place, _ in self.part.trace.program.outputs]
        bound = [place for place in places if place.name in self.binding.places]
        return [cohort.tensors(place)[row] for place in bound for row in self._rows.tolist()]

    def prepare_sums(self) -> Mapping[str, NDArray[np.floating]]:
        """Get ready to run with numbers for places of the states that no state has.

        Returns:
            These numbers by key of the state, yet to be written: one for each parameter.

        Raises:
            UnfusableError: The rule leaves more than one number for a parameter.
        """
        part, launch = self.part, self.launch
        launch.prepare(self._grads, part.rows, part.arguments, part.which)
        made = launch.new_places
        if not all(place.per_tensor for _, place in made):
            raise UnfusableError("what is measured has to be one number for each parameter")
        values = np.zeros((len(made), len(self._grads)), dtype=self.binding.kinds.real)
        places = values.ctypes.data + values.itemsize * np.arange(values.size).reshape(values.shape)
        for row, (column, _) in zip(places, made, strict=True):
            launch.addresses[column] = row
        if self.binding.has_copies:
            self.binding.copy_in(self._rows)
        names = [place.name.removeprefix(STATE) for _, place in made]
        return dict(zip(names, values, strict=True))

    def constant_sums(self) -> dict[str, float]:
        """Return the sums of what the rule has left as numbers of Python."""
        part, count = self.part, len(self._rows)
        found = {key: float(value) * count for key, value in part.after.items()}
        for key, column in part.columns.items():
            found[key] = float(column[part.which].sum())
        return found
