"""The versions of tensors, which autograd compares: raised by compiled code after a step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schuss.engines.devices.cpu.run import PATIENCE, compiled
from schuss.engines.devices.cpu.torch_layout import torch_layout
from schuss.engines.devices.cpu.words import (
    LAUNCH_GRADS,
    LAUNCH_TENSORS,
    LAUNCH_VERSIONS,
    LAUNCH_WORDS,
    LAUNCH_WRITTEN,
)


class Versions:
    """The versions of what a launch writes to, for a device whose kernels cannot raise them.

    Args:
        versions: For each place that is written to, the addresses of the versions of its tensors, 0
            for none.
        tensors: How many tensors there are.
    """

    def __init__(self, versions: Sequence[Sequence[int]], tensors: int) -> None:
        self._addresses = np.array(versions, dtype=np.int64)
        self._record = np.zeros(LAUNCH_WORDS, dtype=np.int64)
        self._record[LAUNCH_TENSORS] = tensors
        self._record[LAUNCH_WRITTEN] = len(versions)
        self._record[LAUNCH_VERSIONS] = self._addresses.ctypes.data
        self._steps = 0

    def are_raised(self, grads: int) -> bool:
        """Raise those of tensors that have a gradient, and tell whether this could be done.

        Args:
            grads: The address of where gradients begin, 0 for none.
        """
        self._steps += 1
        is_time = self._steps >= PATIENCE or bool(compiled.cache_info().currsize)
        if not is_time or torch_layout() is None:
            return False
        self._record[LAUNCH_GRADS] = grads
        compiled()[1](self._record.ctypes.data)
        return True
