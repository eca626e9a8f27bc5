"""Launching a kernel: a table of chunks, which threads share among themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schuss.engines.fused import threads
from schuss.engines.fused.kernels import Kernel
from schuss.engines.fused.printer import JOB
from schuss.engines.tracing.primitives import REDUCTIONS

CHUNK = 1 << 14
"""Numbers in a row: 64 KiB of float32, so that the arrays of a row fit into a core's cache."""

ALONE = 1 << 15
"""Numbers that one thread steps in less time than it takes to wake another."""

SHARES = 8
"""How often each thread comes for more rows, so that none waits long for the slowest."""


_NEXT, _GRAIN, _ARGUMENTS = map(JOB.index, ("next_row", "grain", "arguments"))


class Launch:
    """A kernel and the parameters of a cohort, ready to be launched in every step.

    Attributes:
        kernel: The kernel.
        addresses: For each of its columns, where the numbers of each parameter begin.
        totals: For each of its reductions, the value for each parameter.
    """

    def __init__(self, kernel: Kernel, counts: Sequence[int]) -> None:
        self.kernel = kernel
        sizes = np.array(counts, dtype=np.int64)
        self._size = int(sizes.sum())
        self._table, self._first_rows = _rows(sizes)
        self._owners = np.flatnonzero(sizes)
        rows, tensors = len(self._table), len(sizes)
        self.addresses = np.zeros((len(kernel.columns), tensors), dtype=np.int64)
        self.totals = np.zeros((sum(map(len, kernel.reductions)), tensors))
        self._parts = np.zeros((max(map(len, kernel.reductions), default=0), rows))
        self._arguments = np.zeros(0)
        arrays = (self._table, self.addresses, self._arguments, self.totals, self._parts)
        table, addresses, arguments, totals, parts = (array.ctypes.data for array in arrays)
        self._job = np.array(
            [0, 1, rows, table, tensors, addresses, arguments, totals, parts], dtype=np.int64
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
        rows = len(self._table)
        count = min(threads.available(), rows) if self._size > ALONE else 1
        self._job[_GRAIN] = -(-rows // (count * SHARES)) if count > 1 else max(rows, 1)
        done = 0
        for function, reductions in zip(self.kernel.passes, self.kernel.reductions, strict=True):
            self._job[_NEXT] = 0
            threads.run(function, self._address, count)
            for parts, reduction in zip(self._parts, reductions, strict=False):
                self._join(parts, reduction, self.totals[done])
                done += 1
        if self.kernel.closing is not None:
            threads.run(self.kernel.closing, self._address, 1)

    def _join(self, parts: NDArray[np.float64], name: str, into: NDArray[np.float64]) -> None:
        """Join the parts that the rows of each parameter have made."""
        reduction = REDUCTIONS[name]
        into[:] = reduction.empty
        if len(parts):
            into[self._owners] = reduction.join.reduceat(parts, self._first_rows)


def _rows(sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the table (for each row whose it is, its first number, how many it has).

    And for each parameter that has any, which row is its first.
    """
    counts = -(-sizes // CHUNK)
    owner = np.repeat(np.arange(len(sizes)), counts)
    first_rows = np.cumsum(counts) - counts
    first = (np.arange(len(owner)) - first_rows[owner]) * CHUNK
    length = np.minimum(sizes[owner] - first, CHUNK)
    table = np.ascontiguousarray(np.stack([owner, first, length], axis=1), dtype=np.int64)
    return table, first_rows[counts > 0]
