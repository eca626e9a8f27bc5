"""Numbers that a GPU computes before the kernels that take them: one program for each tensor.

The launches of a step that have the same computation share one launch of it, whatever groups their
tensors are in, and whatever numbers these have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schuss.engines.devices.device import Kernel, Numbers, Tensors
from schuss.engines.devices.gpu.launch import Launch
from schuss.engines.program.computed import SHARED, number_at


class Together:
    """The computation that some launches share.

    Args:
        kernel: The kernel that computes their numbers.
        found: The launches, which have been prepared, and what computes their numbers.
    """

    def __init__(self, kernel: Kernel, found: Sequence[tuple[Launch, Numbers]]) -> None:
        self._counts = [len(launch.gradients) for launch, _ in found]
        about = Tensors(found[0][0].device, [0] * sum(self._counts), is_capturable=True)
        self._launch = Launch(kernel, about)
        self._which = np.repeat(np.arange(len(found)), self._counts)
        self._shared = [p.name for p in kernel.source.columns if p.name.startswith(SHARED)]
        for column, place in enumerate(kernel.source.columns):
            at = number_at(place.name)
            if at is not None:
                parts = [launch.rows[0] + 8 * at for launch, _ in found]
            elif place.name not in self._shared:
                parts = [numbers.states[place.name] for _, numbers in found]
            else:
                continue
            self._launch.addresses[column] = np.concatenate(parts)

    def prepared(self, found: Sequence[tuple[Launch, Numbers]]) -> Launch:
        """Return the launch that computes what these launches take in this step."""
        arguments = np.array([numbers.arguments for _, numbers in found], dtype=np.float64)
        grads = np.concatenate([launch.gradients for launch, _ in found])
        self._launch.prepare(grads, None, arguments, self._which)
        for number, name in enumerate(self._shared):
            begins = [numbers.shared[name].data_ptr() for _, numbers in found]
            self._launch.share(number)[:] = np.repeat(begins, self._counts)
        return self._launch


def numbers_first(launches: Sequence[Launch]) -> list[Launch]:
    """Return launches that compute the numbers of others, prepared to come before these."""
    by_kernel: dict[int, list[tuple[Launch, Numbers]]] = {}
    for launch in launches:
        if launch.numbers is not None and launch.numbers.found_by is None:
            of_kernel = by_kernel.setdefault(id(launch.numbers.kernel), [])
            of_kernel.append((launch, launch.numbers))
    return [*map(_together, by_kernel.values())]


def _together(found: Sequence[tuple[Launch, Numbers]]) -> Launch:
    (first, numbers), *_ = found
    key = id(numbers.kernel), *(launch.number for launch, _ in found)  # kernels are not forgotten
    if key not in first.computations:
        first.computations[key] = Together(numbers.kernel, found)
    together: Together = first.computations[key]
    return together.prepared(found)
