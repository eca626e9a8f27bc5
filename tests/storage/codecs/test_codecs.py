"""A codec keeps numbers within its error, whatever they are, and keeps what it has kept."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from schuss.storage.codecs import CODECS, Codec
from schuss.storage.codecs.floats import E4M3, E5M2
from schuss.storage.codecs.four_bit import Int4

NAMES = sorted(CODECS)
WITHOUT_MINUS_ONE = ("dynamic8", "int4")
OF_SQUARES = ("uint8", "udynamic8", "fp8_e5m2")
"""Codecs that never turn a positive number into 0."""
WITH_SCALES_OF_FLOAT16 = ("flash_int8", "flash_uint8")
"""Codecs for numbers from 1e-4 to 1e4 alone."""


def numbers(codec: Codec, count: int, seed: int = 0, spread: float = 3.0) -> Tensor:
    """Return numbers of many magnitudes, such as the codec is for."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.randn(count, generator=generator)
    spread = min(spread, 1.0) if codec.name in WITH_SCALES_OF_FLOAT16 else spread
    found = found * 10 ** (spread * torch.randn(count, generator=generator).clamp(-2, 2))
    return found if codec.is_signed else found.abs()


def kept(codec: Codec, given: Tensor) -> Tensor:
    return codec.decoded(*codec.encoded(given), given.shape)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 31, 32, 33, 255, 257, 1000])
def test_numbers_come_back_within_a_step_of_the_codec(name, count):
    codec = CODECS[name]
    given = numbers(codec, count, spread=0.5)
    found = kept(codec, given)
    for block, back in zip(given.split(codec.block), found.split(codec.block), strict=True):
        largest = block.abs().max()
        assert (block - back).abs().max() <= codec.step * largest
        assert (back.abs() <= largest * 1.01).all()


@pytest.mark.parametrize("name", ["dynamic8", "udynamic8", "int4", "uint4", "fp8_e4m3"])
def test_a_code_stands_for_the_number_that_is_nearest(name):
    codec = CODECS[name]
    shares = 10 ** torch.linspace(-6, 0, 5 * codec.block)
    shares = torch.cat([shares, -shares]) if codec.is_signed else shares
    shares[:: codec.block] = 1.0  # so that they are shares
    codes = torch.arange(256 if codec.per_byte == 1 else 16, dtype=torch.uint8)
    every = codec.numbers_of(codes, torch.ones(1))
    every = every[every.isfinite()]
    nearest = (shares[:, None] - every).abs().amin(dim=1)
    torch.testing.assert_close((kept(codec, shares) - shares).abs(), nearest, rtol=0, atol=1e-7)


def test_a_number_in_the_middle_has_the_code_of_the_larger_one():
    codec = Int4()
    middles = torch.tensor([*codec.begins, 1.0])
    codes, _ = codec.encoded(torch.cat([middles, -middles]))
    found = codec.unpacked(codes, 18).int() - codec.zero
    assert found.tolist() == [*range(1, 9), 8, *range(-1, -8, -1), -7, -7]


def test_blocks_have_as_many_numbers_as_the_pages_tell():
    page = Path(__file__).parents[3] / "docs" / "state.md"
    rows = [line.split(" | ") for line in page.read_text().splitlines() if line.startswith("| `")]
    told = {row[0].strip("|` "): row[3] for row in rows if len(row) == 5}
    assert {name: str(codec.block) for name, codec in CODECS.items()} == {
        name: block for name, block in told.items() if name in CODECS
    }


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_is_kept_as_it_is_the_next_time(name):
    codec = CODECS[name]
    codes, scales = codec.encoded(numbers(codec, 3000))
    again = codec.encoded(codec.decoded(codes, scales, torch.Size([3000])))
    assert torch.equal(codes, again[0])
    if name in WITHOUT_MINUS_ONE:  # so that a block whose largest number is negative shrinks
        assert (again[1] <= scales).all()
    else:
        assert torch.equal(scales, again[1])


@pytest.mark.parametrize("name", NAMES)
@given(exponent=st.integers(-37, 37), seed=st.integers(0, 9))
def test_the_error_does_not_depend_on_the_magnitude(name, exponent, seed):
    codec = CODECS[name]
    exponent = exponent // 10 if name in WITH_SCALES_OF_FLOAT16 else exponent
    given = numbers(codec, 64, seed, spread=0.2) * 10.0**exponent
    error = (kept(codec, given) - given).abs().max() / given.abs().max()
    assert error <= codec.step


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_number_that_is_none_spoils_its_block_alone(name, bad):
    codec = CODECS[name]
    given = numbers(codec, 3 * codec.block, spread=0.2)
    expected = kept(codec, given)
    given[codec.block + 3] = bad
    found = kept(codec, given).split(codec.block)
    assert not found[1].isfinite().any()
    for index in (0, 2):
        assert torch.equal(found[index], expected.split(codec.block)[index])


@pytest.mark.parametrize("name", NAMES)
def test_zeros_and_no_numbers_are_kept(name):
    codec = CODECS[name]
    assert torch.equal(kept(codec, torch.zeros(70)), torch.zeros(70))
    assert kept(codec, torch.zeros(0, 5)).shape == (0, 5)
    given = numbers(codec, 6 * 7 * 5).view(6, 7, 5)
    assert torch.equal(kept(codec, given).flatten(), kept(codec, given.flatten()))


@pytest.mark.parametrize("name", OF_SQUARES)
def test_averages_of_squares_never_become_zero(name):
    given = torch.tensor([1.0, 1e-30, 0.0, 1e-7, 1e-45])
    found = kept(CODECS[name], given)
    assert (found > 0).tolist() == [True, True, False, True, True]


@pytest.mark.parametrize("name", NAMES)
def test_a_negative_number_keeps_its_sign_or_becomes_zero(name):
    codec = CODECS[name]
    assert kept(codec, torch.tensor([1.0, -1.0]))[1] == pytest.approx(
        -1.0 * codec.is_signed, abs=0.12
    )


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp8_e4m3", torch.float8_e4m3fn), ("fp8_e5m2", torch.float8_e5m2)]
)
def test_codes_of_floating_point_are_bytes_of_every_finite_number_of_the_format(name, dtype):
    codec = CODECS[name]
    every = torch.arange(256, dtype=torch.uint8).view(dtype).float()
    finite = every[every.isfinite()]
    codes, scales = codec.encoded(finite)
    assert scales.tolist() == [torch.finfo(dtype).max]
    assert torch.equal(codes.view(dtype).float(), finite)
    back = codec.decoded(codes, scales, finite.shape)
    torch.testing.assert_close(
        back, finite, rtol=1e-6, atol=0.0
    )  # times 1 / 448, rounded, times 448


@pytest.mark.parametrize("codec", [E4M3(), E5M2()], ids=str)
def test_no_number_overflows_a_format_without_infinity(codec):
    for largest in (1e-45, 1e-38, 0.9999999, 448.0001, 3.4028235e38):
        codes, _ = codec.encoded(torch.tensor([largest, -largest, 0.96 * largest]))
        assert codes.view(codec.dtype).float().isfinite().all()


def test_codes_of_flashoptim():
    # 2y / (1 + |y|) of 1, -1/2, 1/4 and 1/254 is 1, -2/3, 2/5 and 2/255, in steps of 1/127.
    given = torch.tensor([254.0, -127.0, 63.5, 1.0])
    codes, scales = CODECS["flash_int8"].encoded(given)
    assert codes.tolist() == [127, -85, 51, 1]
    assert scales.tolist() == [254.0]
    # Roots in steps of the largest, 510, over 255; the last is 0.98 / 510 of it, and is lost.
    squares = torch.tensor([510.0**2, 10.0**2, 1.0, 0.98**2])
    codes, scales = CODECS["flash_uint8"].encoded(squares)
    assert codes.tolist() == [255, 5, 1, 0]
    assert scales.tolist() == [510.0]


def test_flashoptim_divides_by_a_millionth_of_a_millionth_at_least():
    tiny = torch.full((32,), 1e-13)  # 2y / (1 + y) of 1/10 is 23.1 steps
    assert CODECS["flash_int8"].encoded(tiny)[0].unique().tolist() == [23]
    assert CODECS["flash_uint8"].encoded(tiny.square())[0].unique().tolist() == [26]  # of 25.5


def test_scales_of_flashoptim_are_rounded_after_numbers_are_divided():
    # 2049 is 2048 in float16. 1032.3 is 128.47 of 255 steps below 2049, and 128.53 below 2048.
    codes, scales = CODECS["flash_uint8"].encoded(torch.tensor([2049.0, 1032.3]).square())
    assert scales.tolist() == [2048.0]
    assert codes.tolist() == [255, 128]


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_those_of_codes_and_scales(name):
    codec = CODECS[name]
    codes, scales = codec.encoded(numbers(codec, 4 * codec.block))
    bytes_in_all = codes.numel() * codes.itemsize + scales.numel() * scales.itemsize
    assert codec.bytes == bytes_in_all / (4 * codec.block)
