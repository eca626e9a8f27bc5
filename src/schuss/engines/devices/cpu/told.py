"""The words that tell compiled code of a launch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from schuss.engines.devices.cpu.words import JOINS, LAUNCH_THREADS

if TYPE_CHECKING:
    from schuss.engines.devices.cpu.launch import Launch


class Told:
    """The words that tell compiled code of a launch, and the arrays that it is told in.

    Attributes:
        record: The words, in the order of the `LAUNCH` words.
    """

    def __init__(self, launch: Launch) -> None:
        kernel, table = launch.kernel, launch.table
        grads = launch.addresses[launch.grad_column]
        passes = kernel.source.passes
        joins = [(total, JOINS.index(name)) for p in passes for name, total in p.reductions]
        self._arrays = [
            np.array(kernel.passes, dtype=np.int64),
            np.array([len(p.reductions) for p in passes], dtype=np.int64),
            np.array(joins, dtype=np.int64),
            table.owners.astype(np.int64),
            np.array([*table.first_entries, len(table.entries)], dtype=np.int64),
            np.array(launch.versions, dtype=np.int64),
        ]
        functions, reductions, joined, owner, first, raised = (a.ctypes.data for a in self._arrays)
        self.record = np.array(
            [
                *(launch.address, 1, len(passes), functions, reductions, joined),
                *(kernel.closing or 0, len(table.entries), len(table.owners), owner, first),
                *(launch.partials.ctypes.data, launch.totals.ctypes.data),
                *(len(grads), grads.ctypes.data, len(launch.versions), raised),
            ],
            dtype=np.int64,
        )

    def shared_by(self, threads: int) -> None:
        """Tell on how many threads the next runs go."""
        self.record[LAUNCH_THREADS] = threads
