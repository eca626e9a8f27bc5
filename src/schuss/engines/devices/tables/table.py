"""The table that a kernel goes through: stretches of tensors, which threads share out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Table(NamedTuple):
    """Entries, each a stretch of one tensor.

    Attributes:
        entries: The numbers that kernels are told of each; first, whose it is.
        owners: The tensors that have entries, in order.
        first_entries: Of each of these the first.
        size: How many numbers there are in all.
    """

    entries: NDArray[np.int64]
    owners: NDArray[np.int64]
    first_entries: NDArray[np.int64]
    size: int


def first_of(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which entry comes first for each tensor, given how many each has."""
    begins: NDArray[np.int64] = np.cumsum(counts) - counts
    return begins
