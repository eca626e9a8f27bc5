"""Launching a kernel: a table of chunks or tiles, which threads share among themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schuss.engines.fused import threads
from schuss.engines.fused.chunks import chunks
from schuss.engines.fused.kernels import Kernel
from schuss.engines.fused.table import Table
from schuss.engines.fused.text import JOB
from schuss.engines.fused.tiles import numbers, tiles
from schuss.engines.tracing.primitives import REDUCTIONS

ALONE = 1 << 15
"""Numbers that one thread steps in less time than it takes to wake another."""

SHARES = 8
"""How often each thread comes for more rows, so that none waits long for the slowest."""


_NEXT, _GRAIN, _ARGUMENTS = map(JOB.index, ("next_row", "grain", "arguments"))


class Launch:
    """A kernel and the parameters of a cohort, ready to be launched in every step.

    Args:
        kernel: The kernel.
        counts: How many numbers each parameter has.
        sizes: How many matrices, rows and columns, if the kernel sees these.

    Attributes:
        kernel: The kernel.
        addresses: For each of its columns, where the numbers of each parameter begin.
        totals: For each of its reductions, the value for each parameter.
    """

    def __init__(
        self, kernel: Kernel, counts: Sequence[int], sizes: Sequence[tuple[int, int, int]] = ()
    ) -> None:
        self.kernel = kernel
        source = kernel.source
        shapes = np.zeros((0, 0), dtype=np.int64)
        self._table: Table
        if source.tiled:
            self._table, shapes = tiles(sizes)
        else:
            self._table = chunks(counts)
        rows, tensors = len(self._table.rows), len(counts)
        self.addresses = np.zeros((len(source.columns) + len(source.slots), tensors), np.int64)
        self.totals = np.zeros((source.totals, tensors))
        self._own = [self._room(row, shapes) for row in range(len(source.slots))]
        self._parts = np.zeros((max((len(p.reductions) for p in source.passes), default=0), rows))
        self._arguments = np.zeros(0)
        held = (self.addresses, self._arguments, self.totals, self._parts, shapes)
        self._shapes = shapes  # whose address the job has
        self._job = np.array(
            [0, 1, rows, self._table.rows.ctypes.data, tensors, *(a.ctypes.data for a in held)],
            dtype=np.int64,
        )
        self._address = self._job.ctypes.data

    def run(self, arguments: Sequence[float]) -> None:
        """Run the kernel.

        Args:
            arguments: The numbers that it takes.
        """
        if len(self._arguments) != len(arguments):
            self._arguments = np.zeros(len(arguments))
            self._job[_ARGUMENTS] = self._arguments.ctypes.data
        self._arguments[:] = arguments
        rows = len(self._table.rows)
        count = min(threads.available(), rows) if self._table.size > ALONE else 1
        self._job[_GRAIN] = -(-rows // (count * SHARES)) if count > 1 else max(rows, 1)
        for function, about in zip(self.kernel.passes, self.kernel.source.passes, strict=True):
            self._job[_NEXT] = 0
            threads.run(function, self._address, count)
            for parts, (name, total) in zip(self._parts, about.reductions, strict=False):
                self._join(parts, name, self.totals[total])
        if self.kernel.closing is not None:
            threads.run(self.kernel.closing, self._address, 1)

    def _room(self, slot: int, shapes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return memory of the kernel's own, and note where that of each parameter begins."""
        source = self.kernel.source
        about = source.slots[slot]
        counts = numbers(shapes, about.form, parts=about.parts)
        room = np.zeros(int(counts.sum()))  # double is enough for either precision
        begins = np.cumsum(counts) - counts
        self.addresses[len(source.columns) + slot] = room.ctypes.data + room.itemsize * begins
        return room

    def _join(self, parts: NDArray[np.float64], name: str, into: NDArray[np.float64]) -> None:
        """Join the parts that the rows of each parameter have made."""
        reduction = REDUCTIONS[name]
        into[:] = reduction.empty
        if len(parts):
            owners, first_rows = self._table.owners, self._table.first_rows
            into[owners] = reduction.join.reduceat(parts, first_rows)
