"""Memory of the host that a GPU reads while the host goes on, and graphs that read it again.

While a graph is captured, no memory may be pinned, and nobody may ask the device whether it has
read what lies there. So steps that a graph may capture set memory aside for a capture. Memory that
a graph reads is kept from then on, because each repetition reads it again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SPARES = 4
"""Captures that are possible without a step between them."""

_captured: list[tuple[Any, ...]] = []
"""All that graphs read: they may be repeated as long as the process lives."""


class Pinned:
    """The memory of the words that go up in each step.

    Args:
        runs: How often these are needed in a step, at most.
    """

    def __init__(self, runs: int = 1) -> None:
        self._spares: list[Tensor] = []
        self._count = SPARES * runs

    def room(self, size: int, device: torch.device, *, captured: bool, spares: bool) -> Tensor:
        """Return room for some words.

        Args:
            size: How many.
            device: The device that is to read them.
            captured: Whether a graph is being captured.
            spares: Whether a graph may capture a later step.

        Raises:
            RuntimeError: A graph is being captured, and no room was set aside.
        """
        if captured:
            fitting = [spare for spare in self._spares if len(spare) == size]
            if not fitting:
                raise _not_planned()
            self._spares = [spare for spare in self._spares if spare is not fitting[0]]
            return fitting[0]
        while spares and len(self._fitting(size)) < self._count:
            self._spares.append(_pinned(size, device))
        # From torch's cache, which hands memory out again when it has been read.
        return _pinned(size, device)

    def _fitting(self, size: int) -> list[Tensor]:
        self._spares = [spare for spare in self._spares if len(spare) == size]
        return self._spares


def up(array: NDArray[np.int64], device: torch.device) -> Tensor:
    """Return a copy of an array on a device, made without waiting for it.

    Raises:
        RuntimeError: A graph is being captured, which would read the array again.
    """
    if is_captured(device):
        raise _not_planned()
    staged = _pinned(array.size, device).reshape(array.shape)
    staged.numpy()[...] = array
    return staged.to(device, non_blocking=True)


def is_captured(device: torch.device) -> bool:
    """Tell whether a graph captures what is done on the current stream."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def keep(*memory: Any) -> None:
    """Keep memory that a graph reads."""
    _captured.append(memory)


def _pinned(size: int, device: torch.device) -> Tensor:
    is_pinned = device.type != "cpu"
    return torch.empty(size, dtype=torch.int64, device="cpu", pin_memory=is_pinned)


def _not_planned() -> RuntimeError:
    return RuntimeError(
        "a graph is captured in a step that has to be planned first; take two steps before, with "
        "the same groups and with gradients of the same parameters, and read no state after them"
    )
