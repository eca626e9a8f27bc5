"""Numbers that a device computes before a kernel that takes them: by a kernel of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.devices.device import Device, Numbers
from schuss.engines.kernels.kernel import kernel
from schuss.engines.program.program import Place
from schuss.engines.tracing.tracer import Trace
from schuss.storage.kinds import KIND_OF, Kinds
from schuss.storage.numbers import NUMBER


class NumbersOfCohort:
    """The numbers of the states of a cohort, which lie on a device at the same place in every step.

    Args:
        cohort: The cohort.
        device: The device, as kernels know it.
    """

    def __init__(self, cohort: Cohort, device: Device) -> None:
        self._cohort = cohort
        self._device = device
        self._states: dict[str, NDArray[np.int64]] = {}

    def of(self, trace: Trace) -> Numbers | None:
        """Return what computes the numbers of a trace; None if the host does."""
        computed = trace.computed
        if computed is None:
            return None
        names = [place.name for place in computed.program.inputs]
        of_states = [name for name in names if name not in computed.shared]
        at = dict.fromkeys(of_states, KIND_OF[NUMBER])
        at |= {name: KIND_OF[tensor.dtype] for name, tensor in computed.shared.items()}
        kinds = Kinds(KIND_OF[NUMBER], tuple(at.items()), KIND_OF[NUMBER])
        for name in of_states:
            if name not in self._states:
                self._states[name] = addresses(self._cohort.tensors(Place(name)))
        made = kernel(computed.program, kinds, self._device)
        return Numbers(made, computed.arguments, self._states, computed.shared)


def addresses(tensors: Sequence[Tensor]) -> NDArray[np.int64]:
    """Return where the numbers of tensors begin."""
    return np.array(list(map(Tensor.data_ptr, tensors)), dtype=np.int64)
