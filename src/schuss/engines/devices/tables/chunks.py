"""The table of chunks: tensors as stretches of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schuss.engines.devices.tables.table import Table, first_of

CHUNK = 1 << 14
"""Numbers in a chunk: 64 KiB of float32, so that the arrays of a chunk fit into a core's cache."""


def chunks(counts: Sequence[int]) -> Table:
    """Return the table of chunks: for each its tensor, its first number, and how many it has.

    Args:
        counts: How many numbers each tensor has.
    """
    sizes = np.array(counts, dtype=np.int64)
    each = -(-sizes // CHUNK)
    owner = np.repeat(np.arange(len(sizes)), each)
    begins = first_of(each)
    first = (np.arange(len(owner)) - begins[owner]) * CHUNK
    length = np.minimum(sizes[owner] - first, CHUNK)
    entries = np.ascontiguousarray(np.stack([owner, first, length], axis=1), dtype=np.int64)
    present = np.flatnonzero(each)
    return Table(entries, present, begins[present], int(sizes.sum()))
