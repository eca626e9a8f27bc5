"""Running the kernels of a step on GPUs: one upload for each, then the launches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from schuss.engines.devices.gpu.calls import current
from schuss.engines.devices.gpu.launch import Launch
from schuss.storage.numbers import FLAG


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
                is_captured = device.type == "cuda" and torch.cuda.is_current_stream_capturing()
                if is_captured:
                    self._check_capturable()
                words = _launch(device, launches, skip)
                if is_captured:
                    _captured.append((self, words))
        self._is_done = True
        raised = [launch.versions_are_raised() for launch in self.launches]
        return all(raised)

    def _check_capturable(self) -> None:
        """Refuse to be captured with numbers that a graph would not compute anew.

        Raises:
            RuntimeError: The launches have such numbers.
        """
        if not all(launch.is_capturable for launch in self.launches):
            raise RuntimeError(
                "a graph is captured in which the step count would stand still; give the optimizer "
                "capturable=True, or take the step outside of the graph"
            )


_captured: list[tuple[Run, Tensor]] = []
"""Runs and the words that went up with them: a graph may repeat them as long as the process lives.
"""


def _launch(device: torch.device, launches: Sequence[Launch], skip: Tensor | None) -> Tensor:
    """Send the words of some launches to their device, launch them there, and return the words."""
    size = sum(len(launch.words) for launch in launches)
    # From torch's cache of pinned memory, which hands a block out again when it has been read.
    staged = torch.empty(size, dtype=torch.int64, pin_memory=device.type != "cpu")
    room = staged.numpy()
    begins, begin = [], 0
    for launch in launches:
        begins.append(begin)
        room[begin : begin + len(launch.words)] = launch.words
        begin += len(launch.words)
    upload = staged.to(device, non_blocking=True)
    skip = _never(device) if skip is None else skip.to(device, non_blocking=True)
    for launch, begin in zip(launches, begins, strict=True):
        launch.run(upload, begin, skip)
    return staged


@cache
def _never(device: torch.device) -> Tensor:
    return torch.zeros(1, dtype=FLAG, device=device)
