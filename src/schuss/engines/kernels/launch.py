"""Launching a kernel: a table of chunks or tiles, which threads share among themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schuss.engines.cohorts.scalars import Rows
from schuss.engines.devices.cpu import threads
from schuss.engines.devices.cpu.words import JOINS, LAUNCH_THREADS
from schuss.engines.kernels.chunks import chunks
from schuss.engines.kernels.kernel import Kernel
from schuss.engines.kernels.printing.text import JOB
from schuss.engines.kernels.table import Table
from schuss.engines.kernels.tiles import numbers, tiles
from schuss.engines.program.operations import REDUCTIONS
from schuss.engines.program.program import Place

ALONE = 1 << 15
"""Numbers that one thread steps in less time than it takes to wake another."""

SHARES = 8
"""How often each thread comes for more of the table, so that none waits long for the slowest."""


_NEXT, _GRAIN = map(JOB.index, ("next_entry", "grain"))


class Launch:
    """A kernel and the parameters of a cohort, ready to be launched in every step.

    Args:
        kernel: The kernel.
        counts: How many numbers each parameter has.
        sizes: How many matrices, rows and columns, if the kernel sees these.
        versions: For each place that the kernel writes to, the addresses of the versions of its
            tensors, 0 for none.

    Attributes:
        kernel: The kernel.
        addresses: For each of its columns, where the numbers of each parameter begin.
        totals: For each of its reductions, the value for each parameter.
        new_places: The columns of places that there are no tensors for yet.
        threads: On how many threads the next run goes.
        record: What compiled code is told of the launch, in the order of the `LAUNCH` words.
    """

    def __init__(
        self,
        kernel: Kernel,
        counts: Sequence[int],
        sizes: Sequence[tuple[int, int, int]] = (),
        versions: Sequence[Sequence[int]] = (),
    ) -> None:
        self.kernel = kernel
        self.new_places: list[tuple[int, Place]] = []
        source = kernel.source
        no_shapes = np.zeros((0, 0), dtype=np.int64)
        self._table, shapes = tiles(sizes) if source.tiled else (chunks(counts), no_shapes)
        entries, tensors = len(self._table.entries), len(counts)
        columns = len(source.columns) + len(source.slots) + 1
        self.addresses = np.zeros((columns, tensors), np.int64)
        self.totals = np.zeros((source.totals, tensors))
        self._own = [self._room(row, shapes) for row in range(len(source.slots))]
        self._partials = np.zeros(
            (max((len(p.reductions) for p in source.passes), default=0), entries)
        )
        self._arguments = np.zeros((0, 0))
        held = (self.addresses, self.totals, self._partials, shapes)
        self._shapes = shapes  # whose address the job has
        about = [0, 1, entries, self._table.entries.ctypes.data, tensors]
        self._job = np.array(about + [array.ctypes.data for array in held], dtype=np.int64)
        self.address = self._job.ctypes.data
        self._told = _Told(self, self._table, self._partials, versions)
        self.record = self._told.record
        self.threads = 1
        self._entries = len(self._table.entries)
        self._is_alone = self._table.size <= ALONE

    def prepare(
        self,
        grads: NDArray[np.int64],
        rows: Rows | None,
        arguments: Sequence[float] | NDArray[np.float64],
        which: Rows | None,
    ) -> None:
        """Say what the next run is to do.

        Args:
            grads: Where the gradients of all parameters begin.
            rows: The parameters whose turn it is; None for all.
            arguments: The numbers of the program: for all of them, or a row for each set of them.
            which: The set of each of these parameters; None if there is only one.
        """
        if rows is None:
            self.addresses[0] = grads
        else:
            self.addresses[0] = 0
            self.addresses[0, rows] = grads[rows]
        sets = 1 if which is None else len(arguments)
        count = len(arguments) if which is None else len(arguments[0])  # type: ignore[arg-type]
        if self._arguments.shape != (sets, count):
            self._arguments = np.zeros((sets, count))
            self.addresses[-1] = self._arguments.ctypes.data
        self._arguments[:] = arguments
        if which is not None:
            at = self._arguments.ctypes.data + self._arguments.strides[0] * which
            self.addresses[-1, slice(None) if rows is None else rows] = at
        entries = self._entries
        count = 1 if self._is_alone else min(threads.available(), entries)
        self.threads = count
        self.record[LAUNCH_THREADS] = count
        self._job[_GRAIN] = -(-entries // (count * SHARES)) if count > 1 else max(entries, 1)

    def run(self) -> None:
        """Run the kernel."""
        count = self.threads
        for function, about in zip(self.kernel.passes, self.kernel.source.passes, strict=True):
            self._job[_NEXT] = 0
            threads.run(function, self.address, count)
            for partials, (name, total) in zip(self._partials, about.reductions, strict=False):
                self._join(partials, name, self.totals[total])
        if self.kernel.closing is not None:
            threads.run(self.kernel.closing, self.address, 1)

    def _room(self, slot: int, shapes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return memory of the kernel's own, and note where that of each parameter begins."""
        source = self.kernel.source
        about = source.slots[slot]
        counts = numbers(shapes, about.form, partials=about.partials)
        room = np.zeros(int(counts.sum()))  # double is enough for either precision
        begins = np.cumsum(counts) - counts
        self.addresses[len(source.columns) + slot] = room.ctypes.data + room.itemsize * begins
        return room

    def _join(self, partials: NDArray[np.float64], name: str, into: NDArray[np.float64]) -> None:
        """Join the partials that the entries of each parameter have made, in their order."""
        if len(partials):
            owners, first_entries = self._table.owners, self._table.first_entries
            into[owners] = REDUCTIONS[name].join.reduceat(partials, first_entries)


class _Told:
    """What compiled code is told of a launch, and the arrays that it is told in."""

    def __init__(
        self,
        launch: Launch,
        table: Table,
        partials: NDArray[np.float64],
        versions: Sequence[Sequence[int]],
    ) -> None:
        kernel = launch.kernel
        passes = kernel.source.passes
        for reduction, total in [each for p in passes for each in p.reductions]:
            launch.totals[total] = REDUCTIONS[reduction].empty
        joins = [(total, JOINS.index(name)) for p in passes for name, total in p.reductions]
        self._arrays = [
            np.array(kernel.passes, dtype=np.int64),
            np.array([len(p.reductions) for p in passes], dtype=np.int64),
            np.array(joins, dtype=np.int64),
            table.owners.astype(np.int64),
            np.array([*table.first_entries, len(table.entries)], dtype=np.int64),
            np.array(versions, dtype=np.int64),
        ]
        functions, reductions, joined, owner, first, raised = (a.ctypes.data for a in self._arrays)
        self.record = np.array(
            [
                *(launch.address, 1, len(passes), functions, reductions, joined),
                *(kernel.closing or 0, len(table.entries), len(table.owners), owner, first),
                *(partials.ctypes.data, launch.totals.ctypes.data, launch.addresses.shape[1]),
                *(launch.addresses.ctypes.data, len(versions), raised),
            ],
            dtype=np.int64,
        )
