"""Tensors as matrices on a GPU: how large blocks are, and how programs share them out.

A program computes one block of a tile at once, which has three dimensions: matrices, lines and
columns. Triton compiles a function for each size of a block, a power of two for each dimension. So
tensors are in classes, by the block that suits their shapes, and each class is launched by itself.
A model has few.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schuss.engines.devices.layout import Pass
from schuss.engines.devices.tables.table import Table, first_of
from schuss.engines.devices.tables.tiles import Cut, tiles
from schuss.engines.program.operations import Form

NUMBERS = 1024
"""Numbers of a block: 8 for each thread of a program."""

LINES = 8
"""Lines of a block of a large matrix: it has 128 columns then, which a warp reads at once."""

BLOCKS = 32
"""Blocks of a tile, one after the other: the partials of columns, which take 8 bytes each, are few
beside 256 lines."""

BANDS = 128
"""Tiles one below the other, at most, so that not too many partials are to be joined."""

SMALLER = 64
"""Numbers of a block of a smaller form."""

JOINED = 32
"""Partials of each of these numbers that are joined at once."""

PARTS = 64
"""Programs that share the rows, columns or matrices of one tensor, at most."""

_FAR = (1 << 31) - 1
"""Distances within a block are numbers of 32 bits."""


class Class(NamedTuple):
    """Tensors whose tiles have blocks of one size.

    Attributes:
        first: The first of their tiles in the table.
        entries: How many tiles they have.
        block: The matrices, lines and columns of a block.
    """

    first: int
    entries: int
    block: tuple[int, int, int]


class Share(NamedTuple):
    """How the programs of a function of a smaller form share its numbers.

    Attributes:
        block: How many matrices a block is of, and how many numbers of each it has.
        programs: Along both of these, how many programs share a tensor.
    """

    block: tuple[int, int]
    programs: tuple[int, int]


class Tiles:
    """The tiles of some tensors, those of a class side by side.

    Args:
        sizes: For each tensor how many matrices, rows of each, and columns of each.

    Attributes:
        table: The tiles.
        shapes: The shapes of the tensors, by `SHAPE`.
        classes: The classes.
    """

    def __init__(self, sizes: Sequence[tuple[int, int, int]]) -> None:
        table, self.shapes = tiles(sizes, _cut)
        blocks = np.stack(block_of(*np.array(sizes, dtype=np.int64).reshape(-1, 3).T), axis=1)
        kinds, kind = np.unique(blocks, axis=0, return_inverse=True)
        kind = kind.reshape(-1)
        of_entries = kind[table.entries[:, 0]]
        entries = np.ascontiguousarray(table.entries[np.argsort(of_entries, kind="stable")])
        owners = np.argsort(kind, kind="stable")
        counts = np.bincount(entries[:, 0], minlength=len(sizes))[owners]
        self.table = Table(entries, owners, first_of(counts), table.size)
        each = np.bincount(of_entries, minlength=len(kinds)).astype(np.int64)
        self.classes = [
            Class(first, count, (block[0], block[1], block[2]))
            for first, count, block in zip(
                first_of(each).tolist(), each.tolist(), kinds.tolist(), strict=True
            )
        ]

    def share(self, about: Pass) -> Share:
        """Return how the programs of a function of a smaller form share its numbers."""
        width, height, matrices = (int(n) for n in self.shapes[:, :3].max(axis=0))
        each = {Form.ROW: height, Form.COLUMN: width, Form.MATRIX: 1}[about.form]
        numbers = min(_power(each), SMALLER)
        at_once = min(_power(matrices), SMALLER // numbers)
        along = min(max(-(-matrices // at_once), 1), PARTS)
        within = min(max(-(-each // numbers), 1), PARTS // along)
        return Share((at_once, numbers), (along, 1 if about.of_matrices else within))


def _power(number: int) -> int:
    """Return the next power of two."""
    return 1 << max(number - 1, 0).bit_length()


def _powers(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array([_power(number) for number in numbers.tolist()], dtype=np.int64)


def block_of(
    matrices: NDArray[np.int64], height: NDArray[np.int64], width: NDArray[np.int64]
) -> Cut:
    """Return how large the blocks of each tensor are."""
    columns = np.minimum(_powers(width), NUMBERS // np.minimum(_powers(height), LINES))
    lines = np.minimum(_powers(height), NUMBERS // columns)
    far = lines * width > _FAR  # of a matrix with some 2**28 columns
    lines = np.where(far, 1, lines)
    whole = (columns >= width) & (lines >= height)
    at_once = np.minimum(_powers(matrices), NUMBERS // (columns * lines))
    return Cut(np.where(whole, at_once, 1), lines, columns)


def _cut(matrices: NDArray[np.int64], height: NDArray[np.int64], width: NDArray[np.int64]) -> Cut:
    """Return how large the tiles of each tensor are: some blocks."""
    at_once, lines, columns = block_of(matrices, height, width)
    blocks = np.maximum(-(-height // lines), 1)  # of a strip
    below = np.minimum(np.maximum(BLOCKS, -(-blocks // BANDS)), blocks)
    whole = (columns >= width) & (below == blocks)
    at_once = np.where(whole, at_once * np.maximum(BLOCKS // blocks, 1), 1)
    return Cut(at_once, lines * below, columns)
