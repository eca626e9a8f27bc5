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
    "all take the first set of numbers": ("words + tensors + tensor)", "words + tensors)", "adamw"),
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


ENCODING = {
    "a number that is not there enters a scale": (
        "tl.where(i < left, numbers.to(tl.float32), 0.0)",
        "numbers.to(tl.float32)",
        "uint4",
    ),
    "the last byte is not written": ("(left + 1) // 2", "left // 2", "int4"),
    "the halves of a byte are exchanged": (
        "whole >> 4, whole & 15",
        "whole & 15, whole >> 4",
        "int4",
    ),
    "all blocks take the first scales": ("at // BLOCK + s", "s", "udynamic8"),
    "a small square becomes 0": ("(rows > 0) & (roots < 1)", "(rows < 0)", "uint8"),
    "the scale has more digits than is kept": (
        "return kept.to(tl.float32)[:, None]",
        "return scales[:, None]",
        "int8",
    ),
    "NaN has a code of its own": ("tl.where(x == x, x, 0.0)", "tl.where(x == x, x, 1.0)", "int8"),
    "a small number has a leading digit": (
        "sizes < _power_of_2(REBIASED - 126)",
        "sizes < 0",
        "fp8_e4m3",
    ),
    "FlashOptim's scale is rounded first": (
        "rows, by[:, None]",
        "rows, by.to(tl.float16).to(tl.float32)[:, None]",
        "flash_int8",
    ),
    "no number is the largest": (" + (sizes >= LAST).to(tl.int32)", "", "dynamic8"),
}
"""The right text, the wrong one, and a codec that has it."""


@pytest.mark.parametrize("fault", ENCODING)
def test_a_fault_in_a_codec_is_found(fault, interpreter):
    told = interpreter("mutants", "found", *ENCODING[fault][:2], "encodes", ENCODING[fault][2])
    assert "AssertionError" in told


CODED = {
    "all chunks take the scales of the first": (" + 2 * (first // 32)", ""),
    "all chunks take the codes of the first": ("tensor) + first\n", "tensor)\n"),
    "codes are read from another place": ("decode_uint8(p4, p6,", "decode_uint8(p3, p6,"),
    "another number is written": ("at, i, left, v8, EVEN)", "at, i, left, v4, EVEN)"),
}
"""The right text of AdamW's kernel, and the wrong one."""


@pytest.mark.parametrize("fault", CODED)
def test_a_fault_around_codes_is_found(fault, interpreter):
    training = "adamw", "8bit", (1032,), torch.float32
    told = interpreter("mutants", "found", *CODED[fault], "keeps", *training, {})
    assert "AssertionError" in told
