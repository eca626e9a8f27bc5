"""The tables that kernels go through: every number of every tensor belongs to exactly one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schuss.engines.devices.tables import tiles
from schuss.engines.devices.tables.chunks import CHUNK, chunks
from schuss.engines.program.operations import Form

COUNTS = st.lists(
    st.one_of(
        st.integers(0, 200),
        st.builds(lambda rows, more: rows * CHUNK + more, st.integers(1, 3), st.integers(-1, 1)),
    ),
    max_size=6,
)


@given(COUNTS)
def test_every_number_of_every_tensor_is_in_one_chunk(counts):
    table = chunks(counts)
    ends = dict.fromkeys(range(len(counts)), 0)
    for owner, first, length in table.entries.tolist():
        assert first == ends[owner]
        assert 0 < length <= CHUNK
        ends[owner] = first + length
    assert list(ends.values()) == counts
    assert table.size == sum(counts)


@given(COUNTS)
def test_the_chunks_of_a_tensor_are_where_the_table_says(counts):
    table = chunks(counts)
    owners = table.entries[:, 0].tolist()
    assert owners == sorted(owners)
    assert table.owners.tolist() == [at for at, count in enumerate(counts) if count]
    assert table.first_entries.tolist() == [owners.index(owner) for owner in table.owners]


@pytest.fixture(scope="module", autouse=True)
def small_tiles():
    """Make tiles so small that a few hundred numbers need many, one beside and below another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE", 24)
        patch.setattr(tiles, "WIDTH", 4)
        patch.setattr(tiles, "BANDS", 3)
        yield


SIZES = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 20), st.integers(0, 11)), min_size=1, max_size=4
)


def slices(entry):
    """Return whose a tile is, its matrices, lines and columns, its strip and its band."""
    owner, matrix, matrices, line, lines, column, columns, strip, band = entry
    where = slice(matrix, matrices), slice(line, lines), slice(column, column + columns)
    return owner, where, strip, band


@given(SIZES)
def test_every_number_of_every_matrix_is_in_one_tile(sizes):
    table, shapes = tiles.tiles(sizes)
    times = [np.zeros(size, dtype=int) for size in sizes]
    for entry in table.entries.tolist():
        owner, where, _, _ = slices(entry)
        assert times[owner][where].size <= max(24, 4 * -(-sizes[owner][1] // 3))
        times[owner][where] += 1
    assert all((each == 1).all() for each in times)
    assert table.size == sum(each.size for each in times)
    assert shapes[:, :3].tolist() == [[w, h, m] for m, h, w in sizes]


@given(SIZES, st.sampled_from([2, 4, 8, 32]))
def test_no_block_of_numbers_is_in_two_tiles(sizes, block):
    table, _ = tiles.tiles(sizes, block=block)
    tensors = [np.full(math.prod(size), -1) for size in sizes]
    for number, entry in enumerate(table.entries.tolist()):
        owner, where, _, _ = slices(entry)
        tensors[owner].reshape(sizes[owner])[where] = number
    for tensor in tensors:
        assert (tensor >= 0).all()
        for begin in range(0, len(tensor), block):
            assert len(set(tensor[begin : begin + block].tolist())) == 1


@given(SIZES)
def test_every_part_of_a_statistic_is_left_by_one_tile(sizes):
    table, shapes = tiles.tiles(sizes)
    of_rows = [
        np.zeros((strips, matrices, height), dtype=int)
        for _, height, matrices, strips, _ in shapes.tolist()
    ]
    of_columns = [
        np.zeros((bands, matrices, width), dtype=int)
        for width, _, matrices, _, bands in shapes.tolist()
    ]
    for entry in table.entries.tolist():
        owner, (matrices, lines, columns), strip, band = slices(entry)
        of_rows[owner][strip, matrices, lines] += 1
        of_columns[owner][band, matrices, columns] += 1
    for form, parts in ((Form.ROW, of_rows), (Form.COLUMN, of_columns)):
        assert all((each == 1).all() for each in parts)
        found = tiles.numbers(shapes, form, partials=True)
        assert found.tolist() == [each.size for each in parts]
        whole = tiles.numbers(shapes, form, partials=False)
        assert whole.tolist() == [each[0].size for each in parts]


@given(SIZES)
def test_no_tile_is_without_numbers_but_the_one_of_a_tensor_without(sizes):
    table, _ = tiles.tiles(sizes)
    for entry in table.entries.tolist():
        owner, where, _, _ = slices(entry)
        tensor = np.zeros(sizes[owner])
        assert tensor[where].size or (not tensor.size and 0 in tensor[where].shape)


@pytest.mark.parametrize(
    ("size", "number"),
    [
        ((10, 2, 3), 3),  # 24 numbers are 4 matrices
        ((10, 6, 4), 10),  # as many as a tile has
        ((10, 7, 4), 20),  # one line more
        ((10, 2, 5), 20),  # one column more than a tile has
        ((1, 2, 3), 1),
    ],
)
def test_small_matrices_share_a_tile_as_long_as_they_fit_into_one(size, number):
    table, _ = tiles.tiles([size])
    assert len(table.entries) == number


@given(SIZES)
def test_bands_are_few(sizes):
    _, shapes = tiles.tiles(sizes)
    assert (shapes[:, 4] <= 3).all()


@given(SIZES)
def test_the_tiles_of_a_tensor_are_where_the_table_says(sizes):
    table, _ = tiles.tiles(sizes)
    owners = table.entries[:, 0].tolist()
    assert owners == sorted(owners)
    assert table.owners.tolist() == list(range(len(sizes)))
    assert table.first_entries.tolist() == [owners.index(owner) for owner in table.owners]
