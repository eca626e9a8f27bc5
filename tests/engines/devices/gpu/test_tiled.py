"""How tensors are cut into tiles and blocks for a GPU."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schuss.engines.devices.gpu import tiled
from schuss.engines.devices.gpu.tiled import Tiles, block_of
from schuss.engines.devices.layout import Pass
from schuss.engines.program.operations import Form

SIZES = st.lists(
    st.tuples(st.integers(0, 70), st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=3
)


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """Make blocks so small that some hundred rows and columns need many."""
    with pytest.MonkeyPatch.context() as patch:
        for name, number in {"NUMBERS": 256, "LINES": 4, "BLOCKS": 4, "BANDS": 5}.items():
            patch.setattr(tiled, name, number)
        yield


@given(SIZES)
def test_every_number_of_every_matrix_is_in_one_tile(sizes):
    times = [np.zeros(size, dtype=int) for size in sizes]
    for owner, matrix, matrices, line, lines, column, columns, *_ in Tiles(sizes).table.entries:
        times[owner][matrix:matrices, line:lines, column : column + columns] += 1
    assert all((each == 1).all() for each in times)


@given(SIZES)
def test_the_tiles_of_a_class_are_side_by_side_and_begin_at_blocks(sizes):
    tiles = Tiles(sizes)
    end = 0
    for first, count, block in tiles.classes:
        assert first == end
        end += count
        assert np.prod(block) <= 256
        assert all(size & size - 1 == 0 for size in block)
        for _, matrix, _, line, _, column, columns, *_ in tiles.table.entries[first:end].tolist():
            begins = zip((matrix, line, column), block, strict=True)
            assert not any(begin % size for begin, size in begins)
            assert columns <= block[2]  # a tile is one block wide
    assert end == len(tiles.table.entries)


@given(SIZES)
def test_the_tiles_of_a_tensor_are_where_the_table_says(sizes):
    table = Tiles(sizes).table
    owners = table.entries[:, 0].tolist()
    assert sorted(table.owners.tolist()) == list(range(len(sizes)))
    ends = [*table.first_entries.tolist(), len(owners)]
    for owner, first, end in zip(table.owners.tolist(), ends, ends[1:], strict=False):
        assert set(owners[first:end]) == {owner}


@given(SIZES)
def test_bands_are_few(sizes):
    for (_, height, _), bands in zip(sizes, Tiles(sizes).shapes[:, 4].tolist(), strict=True):
        assert bands <= 5
        assert (bands - 1) * 4 * 4 < max(height, 1)  # each of four blocks, of four lines or more


@pytest.mark.parametrize("width", [16, 48, 160, 4096, 65536])
def test_full_blocks_begin_at_multiples_of_16_bytes(width):
    # `multiple_of` in the kernel relies on it, for numbers of two bytes too.
    for matrices, height in ((1, 1), (3, 5), (1, 4096)):
        ((_, _, (_, _, columns)),) = Tiles([(matrices, height, width)]).classes
        assert columns % 8 == 0


def test_distances_within_a_block_are_numbers_of_32_bits():
    width = 1 << 30  # of which two lines are that far apart
    _, lines, columns = block_of(*np.array([[1], [4], [width]]))
    assert (lines.item() - 1) * width + columns.item() < 1 << 31


@pytest.mark.parametrize("form", [Form.ROW, Form.COLUMN, Form.MATRIX])
@pytest.mark.parametrize("of_matrices", [False, True])
def test_rows_of_one_matrix_belong_to_one_program_if_they_are_reduced(form, of_matrices):
    sizes = [(70, 300, 5), (2, 9, 3000)]
    about = Pass("", "", form, of_matrices, ())
    (matrices, numbers), (along, within) = Tiles(sizes).share(about)
    assert matrices * numbers <= tiled.SMALLER
    assert along * within <= tiled.PARTS
    assert within == 1 or not of_matrices
    assert along > 1 or within > 1 or form is Form.MATRIX
