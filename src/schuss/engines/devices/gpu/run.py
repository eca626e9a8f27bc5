"""Running the kernels of a step on GPUs: one upload for each, then the launches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from schuss.engines.devices.gpu.calls import current, never
from schuss.engines.devices.gpu.launch import Launch
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
        for device, launches in self._by_device.items():
            with current(device):
                _launch(device, launches, skip, captured=is_captured(device))
        self._is_done = True
        raised = [launch.versions_are_raised() for launch in self.launches]
        return all(raised)


def _launch(
    device: torch.device, launches: Sequence[Launch], skip: Tensor | None, *, captured: bool
) -> None:
    """Send the words of some launches to their device, and launch them there."""
    first = launches[0]
    if any(launch.numbers is not None for launch in launches):
        launches = [*numbers_first(launches), *launches]
    size = sum(launch.size + launch.size % 2 for launch in launches)
    staged = first.pinned.room(size, device, captured=captured, spares=first.is_capturable)
    upload = torch.empty(size, dtype=torch.int64, device=device)
    room, address = staged.numpy(), upload.data_ptr()
    begins, begin = [], 0
    for launch in launches:
        end = begin + launch.size
        launch.put(room[begin:end], address + 8 * begin)
        begins.append(begin)
        begin = end + end % 2
    upload.copy_(staged, non_blocking=True)
    skip = never(device) if skip is None else skip.to(device, non_blocking=True)
    for launch, begin in zip(launches, begins, strict=True):
        launch.run(upload, begin, skip)
    if captured:
        keep(staged, *(part for launch in launches for part in launch.memory))
