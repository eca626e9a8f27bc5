"""The codecs of kernels leave the codes of the specification, and read its numbers, bit for bit."""

from __future__ import annotations

import math
from typing import Any

import numba
import pytest
import torch
from torch import Tensor

from schuss.engines.devices.cpu import codecs
from schuss.storage.codecs import CODECS, Codec

OF_ROOTS = ("int8", "uint8", "flash_uint8")
"""Codecs with a root, whose last place may be another one in torch: it asks MKL."""

ROOM = codecs.PORTION + 64  # kernels put zeros behind the last number


def given(codec: Codec, case: int) -> Tensor:
    """Return numbers of many sizes and kinds, as many as fit into a portion."""
    generator = torch.Generator().manual_seed(case)
    count = int(torch.randint(1, codecs.PORTION + 1, (), generator=generator))
    numbers = torch.randn(count, generator=generator)
    match case % 6:
        case 0:  # of many magnitudes
            numbers *= 10 ** (3 * torch.randn(count, generator=generator))
        case 1:  # the smallest and the largest that there are
            numbers[: count // 2] *= 1e-37
            numbers[count // 2 :] *= 1e33
        case 2:  # in the middle between two codes, often
            numbers = (numbers * 64).round() / 64 * 254
            numbers[:: codec.block] = 254.0
        case 3:
            numbers[count // 3] = math.nan
            numbers[-1] = -math.inf
        case 4:
            numbers[: count // 2] = 0.0
    return numbers if codec.is_signed and case % 4 else numbers.abs()


@pytest.mark.parametrize("name", CODECS)
def test_kernels_have_the_codes_and_the_numbers_of_the_specification(name):
    codec = CODECS[name]
    encode, decode = (getattr(codecs, f"{verb}_{name}") for verb in ("encode", "decode"))

    def run(codes: int, scales: int, numbers: int, back: int, count: int) -> None:
        encode(codes, scales, numbers, count)
        decode(codes, scales, back, count)

    there_and_back: Any = numba.njit(run)
    for case in range(36):
        numbers = given(codec, case)
        count = numbers.numel()
        codes, scales = codec.encoded(numbers)
        room, back = torch.zeros(ROOM), torch.zeros(ROOM)
        room[:count] = numbers
        found = torch.full((codecs.PORTION,), 77, dtype=codec.code)
        found_scales = torch.zeros(len(scales), dtype=codec.scale)
        memory = (each.data_ptr() for each in (found, found_scales, room, back))
        there_and_back(*memory, count)
        off = (found[: len(codes)].int() - codes.int()).abs()
        assert off.max() <= (1 if name in OF_ROOTS else 0), case
        assert off.sum() <= 2, case
        assert (found[len(codes) :] == 77).all()  # nothing behind the last code is touched
        torch.testing.assert_close(found_scales, scales, rtol=0, atol=0, equal_nan=True)
        expected = codec.decoded(found[: len(codes)], scales, numbers.shape)
        torch.testing.assert_close(back[:count], expected, rtol=0, atol=0, equal_nan=True)
