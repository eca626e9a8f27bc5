"""Running the kernels of a step on GPUs: one upload for each, then the launches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from schuss.engines.devices.gpu.calls import current
from schuss.engines.devices.gpu.launch import Launch, never
from schuss.engines.devices.gpu.numbers import numbers_first
from schuss.engines.devices.gpu.pinned import is_captured, keep


class Run:
    """Kernels that run one after the other, on the current stream of their device.

    Args:
        launches: The launches, prepared.
    """

    def __init__(self, launches: Sequence[Launch]) -> None:
        self.launches = launches
        self._is_done = False
        self._by_device: dict[torch.device, list[Launch]] = {}
        for launch in launches:
            self._by_device.setdefault(launch.device, []).append(launch)

    @property
    def is_done(self) -> bool:
        """Whether all of them have been launched since `begin`."""
        return self._is_done

    def begin(self) -> None:
        """Note that they are yet to run."""
        self._is_done = False

    def take(self, skip: Tensor | None = None) -> bool:
        """Launch them, and tell whether the versions of what they write to have been raised.

        Args:
            skip: A number that is not 0 if they are to change nothing, or None.
        """
        self._check_capturable()
        for device, launches in self._by_device.items():
            with current(device):
                _launch(device, launches, skip)
        self._is_done = True
        raised = [launch.versions_are_raised() for launch in self.launches]
        return all(raised)

    def _check_capturable(self) -> None:
        """Refuse to be captured where a graph would not repeat the whole step.

        Raises:
            RuntimeError: The launches have numbers of Python, or are on several devices.
        """
        captured = []
        for device in self._by_device:
            with current(device):
                captured.append(is_captured(device))
        if not any(captured):
            return
        if not all(captured):
            raise RuntimeError(
                "a graph captures what is done on one device, and the parameters are on several; "
                "take the step outside of the graph, or capture an optimizer for each device"
            )
        if not all(launch.is_capturable for launch in self.launches):
            raise RuntimeError(
                "a graph is captured in which the step count would stand still; give the optimizer "
                "capturable=True, or take the step outside of the graph"
            )


def _launch(device: torch.device, launches: Sequence[Launch], skip: Tensor | None) -> None:
    """Send the words of some launches to their device, and launch them there."""
    together = [*numbers_first(launches), *launches]
    ends = np.cumsum([len(launch.words) for launch in together]).tolist()
    spares = all(launch.is_capturable for launch in launches)
    staged = launches[0].pinned.room(ends[-1], device, spares=spares)
    upload = torch.empty(ends[-1], dtype=torch.int64, device=device)
    room, begins, address = staged.numpy(), [0, *ends], upload.data_ptr()
    for launch, begin, end in zip(together, begins, ends, strict=False):
        launch.put(room[begin:end], address + 8 * begin)
    upload.copy_(staged, non_blocking=True)
    skip = never(device) if skip is None else skip.to(device, non_blocking=True)
    for launch, begin in zip(together, begins, strict=False):
        launch.run(upload, begin, skip)
    if is_captured(device):
        keep(staged, *(part for launch in together for part in launch.memory))
