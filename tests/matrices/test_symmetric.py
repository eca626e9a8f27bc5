"""Symmetric products, of which the lower half is copied from the upper one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from schuss.matrices.symmetric import BLOCK, blocks, mean_of_squares, symmetric_product

LARGE = 500  # two blocks of bfloat16, three of float32


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("rows", [LARGE, 401])
def test_it_is_the_product(rows, dtype):
    x = random(rows, 40).to(dtype)
    half = (x @ x.mT) / 40
    square = half.triu() + half.triu(1).mT
    for found, expected in (
        (symmetric_product(x, x.mT), x.double() @ x.double().mT),
        (
            symmetric_product(square, square, square, 0.5, -2.0),
            0.5 * square.double() - 2 * square.double() @ square.double(),
        ),
    ):
        assert found.dtype == dtype
        bound = 4 * torch.finfo(dtype).eps * expected.abs().max()
        assert (found.double() - expected).abs().max() < bound


def test_only_the_upper_half_is_computed():
    first, second = random(LARGE, LARGE), random(LARGE, LARGE, seed=1)
    found, whole = symmetric_product(first, second), first @ second
    assert len(blocks(LARGE, torch.float64)) == 3
    for begin, end in blocks(LARGE, torch.float64):  # within a block all is computed
        torch.testing.assert_close(found[begin:end, begin:], whole[begin:end, begin:])
        assert torch.equal(found[end:, begin:end], found[begin:end, end:].mT)


def test_tall_matrices_need_no_copy_of_their_transpose():
    x = random(30, LARGE)
    torch.testing.assert_close(symmetric_product(x.mT, x), x.mT @ x)


def test_small_ones_stacks_and_other_devices_are_multiplied_as_a_whole():
    small = random(BLOCK[64], 20)
    assert torch.equal(symmetric_product(small, small.mT), small @ small.mT)
    stack = random(2, LARGE, 20)
    assert torch.equal(symmetric_product(stack, stack.mT), stack @ stack.mT)
    shape = symmetric_product(small.to("meta"), small.mT.to("meta")).shape
    assert shape == (BLOCK[64], BLOCK[64])


def test_autograd_goes_through():
    x = random(LARGE, 10).requires_grad_()
    (gradient,) = torch.autograd.grad(symmetric_product(x, x.mT).sum(), x)
    torch.testing.assert_close(gradient, 2 * x.detach().sum(0).expand_as(x))
    with torch.no_grad():
        assert not symmetric_product(x, x.mT).requires_grad


def mean_by_hand(mean: Tensor, x: Tensor, kept: float, share: float) -> Tensor:
    return torch.stack([kept * m + share * y @ y.mT for m, y in zip(mean, x, strict=True)])


@pytest.mark.parametrize(("count", "rows"), [(3, 12), (1, 12), (2, LARGE), (1, LARGE)])
@pytest.mark.parametrize("kind", [float, lambda x: torch.tensor(x, dtype=torch.float64)])
def test_a_mean_of_squares_takes_the_products_of_each_matrix_with_its_transpose(count, rows, kind):
    x, before = random(count, rows, 7), random(count, rows, 5, seed=1)
    before = before @ before.mT
    expected = mean_by_hand(before, x, 0.9, 0.2)
    found = mean_of_squares(before, x, kind(0.9), kind(0.2))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    found = mean_of_squares(before.unsqueeze(1), x.unsqueeze(1), 0.9, 0.2).squeeze(1)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2])
def test_of_large_squares_in_a_mean_the_upper_half_is_computed(count):
    found = mean_of_squares(random(count, LARGE, LARGE), random(count, LARGE, 9, seed=1), 0.9, 0.1)
    for begin, end in blocks(LARGE, torch.float64):  # of the mean, too, which is not symmetric here
        assert torch.equal(found[:, end:, begin:end], found[:, begin:end, end:].mT)


def test_autograd_goes_through_a_mean_of_squares():
    x = random(2, 4, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(mean_of_squares(random(2, 4, 4), x, 0.9, 0.5).sum(), x)
    torch.testing.assert_close(gradient, x.detach().sum(1, keepdim=True).expand_as(x))
