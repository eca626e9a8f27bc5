"""What the rows of a job are: stretches of tensors, which threads share among themselves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Table(NamedTuple):
    """Rows, each of one tensor.

    Attributes:
        rows: What kernels are told of each row; first, whose it is.
        owners: The tensors that have rows, in order.
        first_rows: Of each of these the first.
        size: How many numbers there are in all.
    """

    rows: NDArray[np.int64]
    owners: NDArray[np.int64]
    first_rows: NDArray[np.int64]
    size: int


def first_rows(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which row comes first for each tensor, given how many each has."""
    begins: NDArray[np.int64] = np.cumsum(counts) - counts
    return begins
