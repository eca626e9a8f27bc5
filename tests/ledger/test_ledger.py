"""Every algorithm moves as its reference, on every engine; and the ledger says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import schuss
from tests.algorithms import FOR_STACKS, OF_MATRICES
from tests.conformance.trajectories import ON, SLOW, without_compiler
from tests.covers import EXHAUSTIVE
from tests.engines.stacked.only import only_stacks
from tests.ledger.defaults import other_defaults
from tests.ledger.document import PATH, described, read
from tests.ledger.row import Row
from tests.ledger.rows import rows

ROWS = rows()
ONE_OF_EACH = {row.algorithm: row for row in ROWS}


def runs() -> Iterator[tuple[Row, str]]:
    """Yield rows, each with one engine that has no kernels, and half of them also with kernels.

    That all engines take one path, whatever the options, is for the tests of the engines to say.
    """
    for turn, row in enumerate(ROWS):
        *others, last = ON
        if EXHAUSTIVE:
            yield from ((row, engine) for engine in ON)
            continue
        yield row, others[turn % len(others)]
        # The other half is compiled in float32.
        if row.algorithm in OF_MATRICES or not (
            row.algorithm in SLOW or row is ONE_OF_EACH[row.algorithm]
        ):
            yield row, last


@pytest.mark.parametrize(("row", "engine"), list(runs()), ids=str)
def test_an_algorithm_moves_as_its_reference(row: Row, engine: str) -> None:
    with without_compiler():
        assert row.apart(engine) <= row.tolerance


@pytest.mark.parametrize("row", [row for row in ROWS if row.algorithm in FOR_STACKS], ids=str)
def test_an_algorithm_of_matrices_moves_as_its_reference_in_stacks(row: Row) -> None:
    with only_stacks(fewest=1):
        assert row.apart("stacked") <= row.tolerance


@pytest.mark.parametrize("row", ROWS if EXHAUSTIVE else ONE_OF_EACH.values(), ids=str)
def test_in_float32_it_stays_near(row: Row) -> None:
    slow = row.algorithm in SLOW and not EXHAUSTIVE
    assert row.apart("foreach" if slow else "fused", torch.float32) <= row.tolerance32


def test_every_algorithm_has_a_row() -> None:
    assert {row.algorithm for row in ROWS} == {info.name for info in schuss.list_optimizers()}


def test_the_document_has_these_rows() -> None:
    written = read(PATH)
    assert [line[: len(described(ROWS[0]))] for line in written] == [described(row) for row in ROWS]


def test_the_document_tells_no_distance_above_what_is_allowed() -> None:
    for row, line in zip(ROWS, read(PATH), strict=True):
        *double, single = (float(number) for number in line[4:8])
        assert max(double) <= row.tolerance, row
        assert single <= row.tolerance32, row


def test_the_document_tells_where_a_reference_has_other_defaults() -> None:
    told = [(line[8], line[9]) for line in read(PATH)]
    assert told == [(other_defaults(row), row.deviation) for row in ROWS]


def test_defaults_are_read_off_both_constructors() -> None:
    found = {str(row): other_defaults(row) for row in ROWS}
    assert [each for name, each in found.items() if name.startswith("noam, Noam of labml")] == [
        "lr 0.001, ours 1; eps 1e-16, ours 1e-08; optimized_update True, ours False"
    ]
    assert not any(each for name, each in found.items() if name.startswith("sgd, "))
