"""Symmetric products, of which the lower half is copied from the upper one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from schuss.matrices.symmetric import BLOCK, blocks, symmetric_product

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
