"""A codec keeps numbers within its error, whatever they are, and keeps what it has kept."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from schuss.storage.codecs import CODECS, Codec

NAMES = sorted(CODECS)
WITHOUT_MINUS_ONE = ("dynamic8", "int4")


def numbers(codec: Codec, count: int, seed: int = 0, spread: float = 3.0) -> Tensor:
    """Return numbers of many magnitudes, such as the codec is for."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.randn(count, generator=generator)
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


def test_averages_of_squares_never_become_zero_or_negative():
    codec = CODECS["uint8"]
    given = torch.tensor([1.0, 1e-30, 0.0, -1.0, 1e-7])
    found = kept(codec, given)
    assert (found[:2] > 0).all()
    assert found[4] > 0
    assert found[2:4].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_those_of_codes_and_scales(name):
    codec = CODECS[name]
    codes, scales = codec.encoded(numbers(codec, 4 * codec.block))
    bytes_in_all = codes.numel() * codes.itemsize + scales.numel() * scales.itemsize
    assert codec.bytes == bytes_in_all / (4 * codec.block)
