"""Numbers as one of bfloat16 and a remainder, and rounded at random: by the bits that come out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from schuss.storage.halves import join, keys, lower, mixed, stochastic, upper

UPPERS = torch.arange(2**16, dtype=torch.int32) << 16
LOWERS = [0, 1, 0x7F, 0x80, 0x81, 0xFF, 0x7F7F, 0x7F80, 0x7FFF, 0x8000, 0x8001, 0xFF7F, 0xFFFF]


def every_upper_half() -> Tensor:
    """Return numbers with all upper halves that there are, and some lower halves."""
    bits = torch.cat([UPPERS + low for low in LOWERS])
    return bits.view(torch.float32)


def stored(kind: str, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Return numbers as memory has them: as bfloat16 and whole numbers."""
    half, rest = upper(kind, numbers), lower(kind, numbers)
    dtype = getattr(torch, kind)
    assert torch.equal(half.bfloat16().float().isnan(), half.isnan())
    at = ~half.isnan()
    assert torch.equal(half.bfloat16().float()[at], half[at])  # it is one of bfloat16 already
    assert torch.equal(rest.to(dtype).float(), rest)  # and this a whole one that fits
    return half.bfloat16(), rest.to(dtype)


def test_every_number_comes_back_bit_for_bit_and_nan_as_nan():
    numbers = every_upper_half()
    found = join("int16", *stored("int16", numbers))
    is_nan = numbers.isnan()
    assert torch.equal(found.isnan(), is_nan)
    assert torch.equal(found.view(torch.int32)[~is_nan], numbers.view(torch.int32)[~is_nan])


def test_24_bits_come_back_rounded_to_the_nearest_ties_away_from_zero():
    numbers = every_upper_half()
    found = join("int8", *stored("int8", numbers))
    is_nan = numbers.isnan()
    expected = ((numbers.view(torch.int32) + 0x80) >> 8) << 8
    assert torch.equal(found.isnan(), is_nan)
    assert torch.equal(found.view(torch.int32)[~is_nan], expected[~is_nan])


@pytest.mark.parametrize("kind", ["int16", "int8"])
def test_the_upper_half_is_the_number_rounded_as_torch_does_but_for_ties(kind):
    # Of 24 bits, the last is above the lowest 8, so that these are rounded first.
    numbers = join(kind, *stored(kind, every_upper_half()))
    numbers = numbers[~numbers.isnan()]
    ours, theirs = upper(kind, numbers), numbers.bfloat16().float()
    is_tie = numbers.view(torch.int32) & 0xFFFF == 0x8000
    assert torch.equal(ours[~is_tie], theirs[~is_tie])
    assert (ours[is_tie].abs() >= numbers[is_tie].abs()).all()


@pytest.mark.parametrize(
    ("written", "remainder", "expected"),
    [
        (0.0, -5, 0.0),  # which would be NaN, were the numbers just added
        (-0.0, -5, -0.0),
        (0.0, 5, 5 * 2.0**-149),
        (2.0, 2**14, 2.0 + 2.0**-8),
        (2.0, -(2**14), 2.0 - 2.0**-9),  # below 2, numbers are twice as dense
        (float("inf"), 0, float("inf")),
    ],
)
def test_a_number_written_beside_an_old_remainder_is_off_by_less_than_one_last_place(
    written, remainder, expected
):
    half = torch.tensor([written], dtype=torch.bfloat16)
    found = join("int16", half, torch.tensor([remainder], dtype=torch.int16))
    assert found.item() == expected
    assert found.signbit().item() == half.signbit().item()


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from(["int16"]))
def test_any_finite_number_comes_back(number, kind):
    numbers = torch.tensor([number])
    assert join(kind, *stored(kind, numbers)).view(torch.int32).item() == (
        numbers.view(torch.int32).item()
    )


def test_gradients_go_through_as_if_nothing_were_rounded():
    half = torch.tensor([1.0, -2.0], dtype=torch.bfloat16, requires_grad=True)
    weight = join("int16", half, torch.tensor([3, -4], dtype=torch.int16))
    for rounded in (upper("int16", weight), stochastic(weight, 0, 0)):
        (found,) = torch.autograd.grad(rounded.square().sum(), half, retain_graph=True)
        assert torch.equal(found, (2 * rounded).bfloat16())


# The bits of a number between two of bfloat16: the share of the way from one to the other.
SHARES = (0.0, 1 / 65536, 0.1, 0.25, 0.5, 0.9, 1 - 1 / 65536)


def test_random_rounding_goes_up_as_often_as_it_should():
    count = 2**18
    for start in (1.0, -3.0, 2.0**-130):
        low = torch.tensor(start).view(torch.int32)
        up = (low + 2**16).view(torch.float32)
        for share in SHARES:
            bits = (low + round(share * 65536)).expand(count).contiguous()
            found = stochastic(bits.view(torch.float32), 5, 17)
            assert ((found == low.view(torch.float32)) | (found == up)).all()
            ups = (found == up).double().mean().item()
            exact = round(share * 65536) / 65536
            # Five standard deviations of a mean of as many throws.
            assert abs(ups - exact) <= 5 * (exact * (1 - exact) / count) ** 0.5


def test_random_rounding_is_unbiased_over_steps_for_one_element():
    """The steps of one number are as independent as the numbers of one step."""
    number = torch.full((16,), 1 + 2.0**-9)  # a quarter of the way to the next
    found = torch.stack([stochastic(number, 0, step) for step in range(4096)])
    ups = (found > 1).double().mean(0)
    assert ((ups - 0.25).abs() <= 5 * (0.25 * 0.75 / 4096) ** 0.5).all()


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan"), 1.5, 0.0, -0.0])
def test_random_rounding_leaves_alone_what_needs_none(number):
    numbers = torch.full((100,), number)
    found = stochastic(numbers, 1, 2)
    torch.testing.assert_close(found, numbers, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(found.signbit(), numbers.signbit())


def test_the_largest_numbers_become_infinite_or_the_largest_of_bfloat16():
    largest = torch.finfo(torch.float32).max
    found = stochastic(torch.full((100_000,), largest), 0, 0)
    assert set(found.tolist()) <= {float("inf"), torch.finfo(torch.bfloat16).max}
    assert upper("int16", torch.tensor([largest])).item() == float("inf")


def noise(stream: int, step: int, count: int = 2**15) -> Tensor:
    """Return the random bits of each element, as they are."""
    first, second = keys(stream, step)
    elements = torch.arange(count, dtype=torch.int64)
    return mixed((elements + first) & 0xFFFFFFFF, second) >> 16


PAIRS = [((0, 0), (0, 1)), ((0, 0), (1, 0)), ((3, 4), (4, 3)), ((0, 1), (1, 0)), ((7, 9), (7, 10))]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_streams_and_steps_share_no_bits_and_are_not_shifted_by_a_few_elements(one, other):
    x, y = noise(*one).double(), noise(*other).double()
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    for shift in range(-3, 4):
        correlation = (x.roll(shift) * y).mean().item()
        assert abs(correlation) <= 5 / len(x) ** 0.5


def test_neighbours_and_all_values_are_as_frequent_as_each_other():
    bits = noise(2, 3, count=2**20)
    counts = torch.bincount(bits >> 8, minlength=256).double()
    expected = 2**20 / 256
    # Chi-squared of 255 degrees of freedom: mean 255, deviation 22.6.
    assert abs(((counts - expected) ** 2 / expected).sum().item() - 255) <= 5 * 22.6
    x = bits.double() - bits.double().mean()
    for lag in (1, 2, 16, 1024):
        assert abs((x[lag:] * x[:-lag]).mean().item() / x.var().item()) <= 5 / 2**10


def test_a_tensor_in_another_order_of_memory_has_the_bits_of_its_memory():
    numbers = torch.rand(2, 3, 4, 5)
    last = numbers.contiguous(memory_format=torch.channels_last)
    in_memory = last.permute(0, 2, 3, 1)
    assert in_memory.is_contiguous()
    found = stochastic(last, 1, 1).permute(0, 2, 3, 1)
    assert torch.equal(found, stochastic(in_memory, 1, 1))
    with_gaps = torch.empty(3, 8)[:, :5].copy_(numbers[0, :, 0])
    assert torch.equal(stochastic(with_gaps, 1, 1), stochastic(with_gaps.contiguous(), 1, 1))
