"""The table of chunks: tensors as stretches of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schuss.engines.devices.tables.table import Table, first_of

CHUNK = 1 << 14
"""Numbers in a chunk: 64 KiB of float32, so that the arrays of a chunk fit into a core's cache."""


def chunks(counts: Sequence[int], size: int | None = None) -> Table:
    """Return the table of chunks: for each its tensor, its first number, and how many it has.

    Args:
        counts: How many numbers each tensor has.
        size: How many numbers a chunk has; `CHUNK`, which is for a CPU, if it is not given.
    """
    size = CHUNK if size is None else size
    sizes = np.array(counts, dtype=np.int64)
    each = -(-sizes // size)
    owner = np.repeat(np.arange(len(sizes)), each)
    begins = first_of(each)
    first = (np.arange(len(owner)) - begins[owner]) * size
    length = np.minimum(sizes[owner] - first, size)
    entries = np.ascontiguousarray(np.stack([owner, first, length], axis=1), dtype=np.int64)
    present = np.flatnonzero(each)
    return Table(entries, present, begins[present], int(sizes.sum()))
