"""Launching the functions of a kernel that sees tensors as matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from schuss.engines.devices.gpu import tiled
from schuss.engines.devices.gpu.calls import Calls
from schuss.engines.devices.gpu.tiled import Tiles
from schuss.engines.devices.layout import KernelSource, Pass
from schuss.engines.devices.tables.tiles import numbers
from schuss.engines.program.operations import Form
from schuss.storage.numbers import NUMBER

WARPS = 4
"""Groups of 32 threads in a program that computes the blocks of a tile."""

SMALLER_WARPS = 8
"""Groups of 32 threads in a program for a smaller form."""


class Parts(NamedTuple):
    """The partial reductions that a function of a kernel leaves.

    Attributes:
        entries: How many there are of each reduction.
        owners: On the device: the tensors that have any.
        begins: On the device: the first of each, and the end of all.
    """

    entries: int
    owners: Tensor
    begins: Tensor


class Matrices:
    """The tensors of a launch as matrices, on a device.

    Args:
        sizes: For each tensor how many matrices, rows of each, and columns of each.
        source: The kernel.
        up: Returns a copy of an array on the device.
        call: Calls functions.

    Attributes:
        shapes: The shapes of the tensors, on the device: one more thing that functions take.
    """

    def __init__(
        self,
        sizes: Sequence[tuple[int, int, int]],
        source: KernelSource,
        up: Callable[[NDArray[np.int64]], Tensor],
        call: Calls,
    ) -> None:
        self._call = call
        self._tiles = Tiles(sizes)
        self._tensors = len(sizes)
        self._table = up(self._tiles.table.entries)
        self.shapes = (up(self._tiles.shapes),)
        self._shares = {
            about: self._tiles.share(about)
            for about in source.passes
            if about.form is not Form.ELEMENT
        }
        self._parts = {about: self._parts_of(about, up) for about in source.passes}

    def parts(self, about: Pass) -> Parts:
        """Return the partial reductions that a function leaves."""
        return self._parts[about]

    def room(self, source: KernelSource, device: torch.device) -> tuple[Any, list[Tensor]]:
        """Return memory of the kernel's own: where that of each tensor begins, and itself."""
        begins, rooms = np.zeros((len(source.slots), self._tensors), np.int64), []
        for own, slot in zip(begins, source.slots, strict=True):
            counts = numbers(self._tiles.shapes, slot.form, partials=slot.partials)
            # Numbers of 8 bytes are enough for either precision.
            room = torch.zeros(max(int(counts.sum()), 1), dtype=NUMBER, device=device)
            own[:] = room.data_ptr() + room.itemsize * (np.cumsum(counts) - counts)
            rooms.append(room)
        return begins, rooms

    def launch(
        self,
        function: Any,
        about: Pass,
        common: Sequence[Any],
        memory: Sequence[Tensor],
        **one: bool,
    ) -> None:
        """Launch a function.

        Args:
            function: The function.
            about: Its name and its reductions.
            common: The addresses, and what went up in this step.
            memory: The partial reductions, and the totals.
            one: Whether there are several sets of arguments.
        """
        entries = self._parts[about].entries
        if about.form is not Form.ELEMENT:
            (matrices, each), programs = self._shares[about]
            grid = (self._tensors, *programs)
            arguments = (*self.shapes, *common, *memory, entries, self._tensors)
            constants = {"MATRICES": matrices, "NUMBERS": each, "JOINED": tiled.JOINED, **one}
            self._call(function, grid, arguments, warps=SMALLER_WARPS, **constants)
            return
        for first, tiles, (matrices, lines, columns) in self._tiles.classes:
            own = self._table, *self.shapes
            arguments = (*own, *common, *memory, first, entries, self._tensors)
            constants = {"MATRICES": matrices, "LINES": lines, "COLUMNS": columns, **one}
            self._call(function, (tiles,), arguments, warps=WARPS, **constants)

    def _parts_of(self, about: Pass, up: Callable[[NDArray[np.int64]], Tensor]) -> Parts:
        if about.form is Form.ELEMENT:
            table = self._tiles.table
            entries, owners, begins = len(table.entries), table.owners, table.first_entries
        else:
            along, within = self._shares[about].programs
            entries, owners = along * within * self._tensors, np.arange(self._tensors)
            begins = along * within * owners
        ends = np.array([*begins, entries], dtype=np.int64)
        return Parts(entries, up(owners.astype(np.int64)), up(ends))
