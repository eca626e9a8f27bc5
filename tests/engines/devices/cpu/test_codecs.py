"""The codecs of kernels leave the codes of the specification, and read its numbers, bit for bit."""

from __future__ import annotations

import math
from typing import Any

import numba
import pytest
import torch
from torch import Tensor

from schuss.engines.devices.cpu import codecs, coding
from schuss.storage.codecs import CODECS, Codec
from schuss.storage.codecs.dynamic import Dynamic

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


def coders(codec: Codec, *, in_registers: bool) -> tuple[Any, Any]:
    """Return the decoder and the encoder of a codec."""
    if in_registers or not isinstance(codec, Dynamic):
        return tuple(getattr(codecs, f"{verb}_{codec.name}") for verb in ("decode", "encode"))
    return codecs.coders(coding.dynamic(codec, in_registers=False))


def there_and_back(codec: Codec, *, in_registers: bool) -> Any:
    """Return a function that encodes and decodes, compiled as kernels are."""
    decode, encode = coders(codec, in_registers=in_registers)

    def run(codes: int, scales: int, numbers: int, back: int, count: int) -> None:
        encode(codes, scales, numbers, count)
        decode(codes, scales, back, count)

    return numba.njit(run, error_model="numpy", fastmath={"contract"})


WAYS = [pytest.param(name, True, id=f"{name}, as kernels do it here") for name in CODECS] + [
    pytest.param(name, False, id=f"{name}, without tables in registers")
    for name, codec in CODECS.items()
    if isinstance(codec, Dynamic)
]
"""Codecs, and whether a kernel uses all that the processor has."""


@pytest.mark.parametrize(("name", "in_registers"), WAYS)
def test_kernels_have_the_codes_and_the_numbers_of_the_specification(name, in_registers):
    codec = CODECS[name]
    run = there_and_back(codec, in_registers=in_registers)
    for case in range(36):
        numbers = given(codec, case)
        count = numbers.numel()
        codes, scales = codec.encoded(numbers)
        room, back = torch.full((ROOM,), 7e30), torch.zeros(ROOM)  # there may be anything behind
        room[:count] = numbers
        found = torch.full((codecs.PORTION,), 77, dtype=codec.code)
        found_scales = torch.zeros(len(scales), dtype=codec.scale)
        run(*(each.data_ptr() for each in (found, found_scales, room, back)), count)
        off = (found[: len(codes)].int() - codes.int()).abs()
        assert off.max() <= (1 if name in OF_ROOTS else 0), case
        assert off.sum() <= 2, case
        assert (found[len(codes) :] == 77).all()  # nothing behind the last code is touched
        torch.testing.assert_close(found_scales, scales, rtol=0, atol=0, equal_nan=True)
        expected = codec.decoded(found[: len(codes)], scales, numbers.shape)
        torch.testing.assert_close(back[:count], expected, rtol=0, atol=0, equal_nan=True)


def near_ends(codec: Dynamic) -> Tensor:
    """Return a row of shares around the end of each interval of shares with one code."""
    ascending = torch.tensor(codec.map, dtype=torch.float64)
    middles = ((ascending[1:] + ascending[:-1]) / 2).float()
    near = middles.view(torch.int32) + torch.arange(-40, 41, dtype=torch.int32)[:, None]
    return near.view(torch.float32)


@pytest.mark.parametrize("in_registers", [True, False])
@pytest.mark.parametrize("name", [n for n, codec in CODECS.items() if isinstance(codec, Dynamic)])
def test_codes_of_a_map_change_at_the_same_number_in_a_kernel(name, in_registers):
    codec = CODECS[name]
    assert isinstance(codec, Dynamic)
    run = there_and_back(codec, in_registers=in_registers)
    rows = near_ends(codec)
    rows = torch.cat([rows, torch.ones(len(rows), 1)], dim=1)  # the largest number is 1
    codes, _ = codec.encoded(rows)
    for row, expected in zip(rows, codes.view(len(rows), -1), strict=True):
        room, back, scale = torch.zeros(ROOM), torch.zeros(ROOM), torch.zeros(1)
        room[: len(row)] = row
        found = torch.zeros(codec.block, dtype=codec.code)
        run(*(each.data_ptr() for each in (found, scale, room, back)), len(row))
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
        torch.testing.assert_close(back[: len(row)], torch.tensor(codec.map)[expected.long()])
