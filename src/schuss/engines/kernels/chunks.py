"""The table of chunks: tensors as stretches of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schuss.engines.kernels.table import Table, first_rows

CHUNK = 1 << 14
"""Numbers in a row: 64 KiB of float32, so that the arrays of a row fit into a core's cache."""


def chunks(counts: Sequence[int]) -> Table:
    """Return the table of chunks: for each its tensor, its first number, and how many it has.

    Args:
        counts: How many numbers each tensor has.
    """
    sizes = np.array(counts, dtype=np.int64)
    rows = -(-sizes // CHUNK)
    owner = np.repeat(np.arange(len(sizes)), rows)
    begins = first_rows(rows)
    first = (np.arange(len(owner)) - begins[owner]) * CHUNK
    length = np.minimum(sizes[owner] - first, CHUNK)
    rows_of = np.ascontiguousarray(np.stack([owner, first, length], axis=1), dtype=np.int64)
    present = np.flatnonzero(rows)
    return Table(rows_of, present, begins[present], int(sizes.sum()))
