"""A fault in a kernel is found: each of these is put into it, and the comparison has to fail."""

from __future__ import annotations

import pytest
import torch

from tests.conformance.strangers import by_extremes
from tests.engines.devices.gpu.options import PLAIN

MUTANTS = {
    "a block loses its last number": ("i < left", "i < left - 1", "adamw"),
    "a chunk begins too early": ("+ 4 * first", "+ 4 * first - 4 * (first > 0)", "adamw"),
    "moments are mistaken": ("p3 = tl.load(addresses + 3", "p3 = tl.load(addresses + 4", "adamw"),
    "all take the first set of numbers": ("EACH * tl.load(", "0 * tl.load(", "adamw"),
    "an argument is another's": ("arguments + 6)", "arguments + 4)", "adamw"),
    "a join ends early": ("range(first, end, WIDTH)", "range(first, first + 1, WIDTH)", "lamb"),
    "a join takes another reduction": ("partials + index * entries", "partials", "lamb"),
    "a partial is another chunk's": ("entries + entry", "entries + 0", "lamb"),
    "a total is another's": (
        "totals + 1 * tensors + tensor",
        "totals + 1 * tensors",
        "lamb",
    ),
}
"""The right text, the wrong one, and an optimizer whose kernel has it."""


@pytest.mark.parametrize("fault", MUTANTS)
def test_a_fault_is_found(fault, interpreter):
    old, new, name = MUTANTS[fault]
    told = interpreter("mutants", "found", old, new, "agrees", name, torch.float32, PLAIN)
    assert "from the loop" in told


def test_a_number_that_is_not_there_and_counts_is_found(interpreter):
    any_number = "tl.where(present, more, so_far)", "more"
    told = interpreter("mutants", "found", *any_number, "takes", by_extremes, torch.float64)
    assert "from the loop" in told


def test_a_block_that_has_one_number_more_is_found(interpreter):
    more = "store(p1 + 4 * at, i, present,", "store(p1 + 4 * at, i, i < left + 1,"
    told = interpreter("mutants", "found", *more, "agrees", "adamw", torch.float32, "layouts")
    assert "a kernel wrote beside a parameter" in told


def test_a_wide_load_from_anywhere_is_found(interpreter):
    anywhere = "% 16 == 0", "% 1 == 0"
    told = interpreter("mutants", "found", *anywhere, "agrees", "adamw", torch.float32, "layouts")
    assert "is no multiple of 16" in told


@pytest.mark.parametrize("name", ["adamw", "lamb", "novograd"])
def test_a_step_that_is_to_be_left_out_changes_nothing(name, interpreter):
    interpreter("cases", "leaves_out", name)


@pytest.mark.parametrize("name", ["adamw", "novograd"])
def test_a_lost_order_to_leave_out_is_found(name, interpreter):
    told = interpreter("mutants", "found", " & (tl.load(skip) == 0)", "", "leaves_out", name)
    assert "was to be left out" in told
