"""Launching a kernel: a table of chunks or tiles, which threads share among themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from schuss.engines.devices.cpu.printing.text import JOB
from schuss.engines.devices.cpu.told import Told
from schuss.engines.devices.device import Kernel, Numbers, Tensors
from schuss.engines.devices.layout import Pass
from schuss.engines.devices.tables.chunks import chunks
from schuss.engines.devices.tables.tiles import numbers, tiles
from schuss.engines.program.operations import REDUCTIONS
from schuss.engines.program.program import GRAD, Place

ALONE = 1 << 15
"""Numbers that one thread steps in less time than it takes to wake another."""

SHARES = 8
"""How often each thread comes for more of the table, so that none waits long for the slowest."""


_NEXT, _GRAIN = map(JOB.index, ("next_entry", "grain"))


class Launch:
    """A kernel and the parameters of a cohort, ready to be launched in every step.

    Args:
        kernel: The kernel.
        about: The facts of the cohort's tensors.
        available: Tells how many threads may share the entries of the table.

    Attributes:
        kernel: The kernel.
        versions: For each place that the kernel writes to, the addresses of the versions of its
            tensors, 0 for none.
        table: The entries that it goes through.
        address: Where the job lies that its functions take.
        addresses: For each of its columns, where the numbers of each parameter begin.
        partials: For each reduction of a pass, its value for each entry of the table.
        totals: For each of its reductions, the value for each parameter.
        new_places: The columns of places that there are no tensors for yet.
        grad_column: The column of the gradient. A parameter without one has the address 0 there.
        threads: On how many threads the next run goes.
        told: The words that tell compiled code of the launch.
    """

    def __init__(self, kernel: Kernel, about: Tensors, available: Callable[[], int]) -> None:
        self.kernel = kernel
        self.versions = about.versions
        self._available = available
        self.new_places: list[tuple[int, Place]] = []
        source = kernel.source
        self.grad_column = source.columns.index(Place(GRAD))
        no_shapes = np.zeros((0, 0), dtype=np.int64)
        counts = about.counts
        self.table, shapes = (
            tiles(about.sizes, block=source.block) if source.tiled else (chunks(counts), no_shapes)
        )
        tensors, self._entries = len(counts), len(self.table.entries)
        columns = len(source.columns) + len(source.slots) + 1
        self.addresses = np.zeros((columns, tensors), np.int64)
        self.totals = np.zeros((source.totals, tensors))
        for name, total in [each for about in source.passes for each in about.reductions]:
            self.totals[total] = REDUCTIONS[name].empty
        most = max((len(about.reductions) for about in source.passes), default=0)
        self.partials = np.zeros((most, self._entries))
        self._own = [self._room(slot, shapes) for slot in range(len(source.slots))]
        self._arguments = np.zeros((0, 0))
        self._first: Any = np.zeros(0)
        self._pack = Struct("").pack_into
        self._shapes = shapes  # whose address the job has
        words = [0, 1, self._entries, self.table.entries.ctypes.data, tensors]
        held = (self.addresses, self.totals, self.partials, shapes)
        self._job = np.array(words + [array.ctypes.data for array in held], dtype=np.int64)
        self.address = self._job.ctypes.data
        self.threads = 0
        self.told = Told(self)
        self._is_alone = self.table.size <= ALONE

    def prepare(
        self,
        grads: NDArray[np.int64],
        indices: NDArray[np.int64] | None,
        arguments: Sequence[float] | NDArray[np.float64],
        which: NDArray[np.int64] | None,
        on_device: Sequence[tuple[int, int, Tensor]] = (),
        numbers: Numbers | None = None,
    ) -> None:
        """Say what the next run is to do, see `devices.device.Launch`; no number is on a device."""
        if indices is None:
            self.addresses[self.grad_column] = grads
        else:
            self.addresses[self.grad_column] = 0
            self.addresses[self.grad_column, indices] = grads[indices]
        sets = 1 if which is None else len(arguments)
        count = len(arguments) if which is None else len(arguments[0])  # type: ignore[arg-type]
        if self._arguments.shape != (sets, count):
            self._arguments = np.zeros((sets, count))
            self.addresses[-1] = self._arguments.ctypes.data
            self._first = self._arguments[0]
            self._pack = Struct(f"{count}d").pack_into
        if which is None:
            self._pack(self._first, 0, *arguments)  # in a fifth of the time that a table takes
        else:
            self._arguments[:] = arguments
            at = self._arguments.ctypes.data + self._arguments.strides[0] * which
            self.addresses[-1, slice(None) if indices is None else indices] = at
        threads = 1 if self._is_alone else min(self._available(), self._entries)
        if threads != self.threads:
            self._share(threads)

    def _share(self, threads: int) -> None:
        """Let the next runs go on so many threads."""
        self.threads = threads
        alone = max(self._entries, 1)
        self._job[_GRAIN] = -(-self._entries // (threads * SHARES)) if threads > 1 else alone
        self.told.shared_by(threads)

    def begin_pass(self) -> None:
        """Let threads take entries of the table from the first on."""
        self._job[_NEXT] = 0

    def end_pass(self, about: Pass) -> None:
        """Join the partials that the entries of each parameter have made, in their order."""
        owners, firsts = self.table.owners, self.table.first_entries
        for partials, (name, total) in zip(self.partials, about.reductions, strict=False):
            if len(partials):
                self.totals[total, owners] = REDUCTIONS[name].join.reduceat(partials, firsts)

    def _room(self, slot: int, shapes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return memory of the kernel's own, and note where that of each parameter begins."""
        source = self.kernel.source
        about = source.slots[slot]
        counts = numbers(shapes, about.form, partials=about.partials)
        room = np.zeros(int(counts.sum()))  # double is enough for either precision
        begins = np.cumsum(counts) - counts
        self.addresses[len(source.columns) + slot] = room.ctypes.data + room.itemsize * begins
        return room
