"""The table of tiles: tensors as batches of matrices.

A tile is a rectangle of one matrix, or a stretch of whole small matrices. Each leaves partial
statistics of its rows and of its columns, and the partials are joined in a fixed order: the numbers
are the same on any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schuss.engines.devices.tables.table import Table, first_of
from schuss.engines.program.operations import Form

TILE = 1 << 16
"""Numbers in a tile: enough that the partials of its columns are few beside them."""

WIDTH = 1 << 10
"""Columns of a tile: their partials fit into a core's first cache."""

BANDS = 64
"""Tiles one below the other, at most, so that not too many partials are to be joined."""

WORDS = (
    "tensor",
    "first_matrix",
    "end_matrix",
    "first_line",
    "end_line",
    "first_column",
    "columns",
    "strip",
    "band",
)
"""The numbers that kernels are told of a tile; first, whose it is."""

SHAPE = (
    "width",
    "height",
    "matrices",
    "strips",  # how many tiles lie side by side in a matrix
    "bands",  # how many lie one below the other
)
"""The numbers that kernels are told of a tensor as a batch of matrices; sizes by their bit in
`SIZES`.
"""


class Cut(NamedTuple):
    """How large the tiles of each tensor are, at most.

    Attributes:
        matrices: How many matrices a tile has; 1 if it is not as large as one.
        lines: How many lines of each.
        columns: How many columns.
    """

    matrices: NDArray[np.int64]
    lines: NDArray[np.int64]
    columns: NDArray[np.int64]


def _for_a_core(
    matrices: NDArray[np.int64],
    height: NDArray[np.int64],
    width: NDArray[np.int64],
    *,
    block: int = 1,
) -> Cut:
    """Cut matrices for a core of a CPU, and leave each block of so many numbers in one tile.

    A block ends somewhere in a line, if lines are not made of whole blocks. A tile is then as wide
    as a matrix, and so many lines high that it ends with a block; if matrices are not made of whole
    blocks either, a tile is several matrices, whose last one ends with a block.
    """
    numbers = height * width
    most = np.where(width % block == 0, max(WIDTH // block, 1) * block, width)
    columns = np.clip(width, 1, np.maximum(most, 1))
    lines = _whole(np.maximum(TILE // columns, -(-height // BANDS)), width, block)
    lines = np.where((matrices > 1) & (numbers % block > 0), height, lines)
    lines = np.clip(lines, 1, np.maximum(height, 1))
    at_once = _whole(np.maximum(TILE // np.maximum(numbers, 1), 1), numbers, block)
    return Cut(np.where((columns >= width) & (lines >= height), at_once, 1), lines, columns)


def _whole(count: NDArray[np.int64], numbers: NDArray[np.int64], block: int) -> NDArray[np.int64]:
    """Return how many things of so many numbers end with a block: `count`, or a few more."""
    step = block // np.gcd(numbers, block)
    found: NDArray[np.int64] = -(-count // step) * step
    return found


def tiles(
    sizes: Sequence[tuple[int, int, int]], cut: Callable[..., Cut] | None = None, block: int = 1
) -> tuple[Table, NDArray[np.int64]]:
    """Return the table of tiles, and the shapes of the tensors.

    Args:
        sizes: For each tensor how many matrices, rows of each, and columns of each.
        cut: Tells how to cut them, from arrays of these numbers; for a core of a CPU, if it is not
            given.
        block: So many numbers of a tensor, counted from its first, are not divided, for a CPU.
    """
    cut = cut or partial(_for_a_core, block=block)
    matrices, height, width = np.array(sizes, dtype=np.int64).reshape(-1, 3).T
    at_once, lines, columns = cut(matrices, height, width)
    # Of a tensor without numbers too there is a tile: it has rows, or columns, of nothing.
    strips, bands = (np.maximum(-(-a // b), 1) for a, b in ((width, columns), (height, lines)))
    batches = np.maximum(-(-matrices // at_once), 1)
    counts = batches * bands * strips
    owner = np.repeat(np.arange(len(counts)), counts)
    begins = first_of(counts)
    at = np.arange(len(owner)) - begins[owner]
    strip, rest = at % strips[owner], at // strips[owner]
    band, batch = rest % bands[owner], rest // bands[owner]
    matrix, line, column = batch * at_once[owner], band * lines[owner], strip * columns[owner]
    fields = (
        owner,
        matrix,
        np.minimum(matrix + at_once[owner], matrices[owner]),
        line,
        np.minimum(line + lines[owner], height[owner]),
        column,
        np.minimum(columns[owner], width[owner] - column),
        strip,
        band,
    )
    entries = np.ascontiguousarray(np.stack(fields, axis=1), dtype=np.int64)
    shapes = np.stack([width, height, matrices, strips, bands], axis=1)
    size = int((matrices * height * width).sum())
    return Table(entries, np.arange(len(counts)), begins, size), np.ascontiguousarray(shapes)


def numbers(shapes: NDArray[np.int64], form: Form, *, partials: bool) -> NDArray[np.int64]:
    """Return how many numbers there are of one form for each tensor, or partial ones."""
    width, height, matrices, strips, bands = shapes.T
    found: NDArray[np.int64] = matrices.copy()
    if form is Form.ROW:
        found *= height * (strips if partials else 1)
    if form is Form.COLUMN:
        found *= width * (bands if partials else 1)
    return found
