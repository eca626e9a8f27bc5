from __future__ import annotations

import importlib.util
import runpy

import pytest
import torch
from torch import nn

from schuss import SGD, ClipAdaptive

SHAPES = ((3, 4), (2, 3, 2, 2), (5,), (), (1, 1), (4, 1))


def clipped(start, grad, factor=0.5, eps=1e-3, **group):
    """Return minus the step of gradient descent of length 1."""
    param = nn.Parameter(torch.clone(start))
    param.grad = grad
    chain = [ClipAdaptive(factor, eps)]
    SGD([{"params": [param], **group}], lr=1.0, transforms=chain).step()
    return start - param.detach()


def test_the_gradient_of_every_row_is_bounded_by_its_own_weights():
    # The rows are of norm 5 and 2, which allows gradients of norm 2.5 and 1: the first is of norm
    # 5, the second of norm 0.5.
    start = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    grad = torch.tensor([[4.0, -3.0], [0.5, 0.0]])
    assert clipped(start, grad).tolist() == [[2.0, -1.5], [0.5, 0.0]]


def test_the_norm_of_a_filter_is_one_over_all_that_belongs_to_an_output():
    # A norm of 2 allows one of 1, and there is one of 4.
    start, grad = torch.ones(1, 2, 1, 2), torch.full((1, 2, 1, 2), 2.0)
    assert torch.equal(clipped(start, grad), torch.full((1, 2, 1, 2), 0.5))


def test_a_vector_is_bounded_as_a_whole():
    # 5 allows 2.5, and there is 10.
    assert clipped(torch.tensor([3.0, 4.0]), torch.tensor([6.0, 8.0])).tolist() == [1.5, 2.0]
    assert clipped(torch.tensor(4.0), torch.tensor(-8.0)).item() == -2.0


def test_weights_of_zero_move_by_the_smallest_norm():
    start, grad = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])
    assert clipped(start, grad, eps=2.0).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]
    assert clipped(start, grad, eps=0.0).tolist() == [[0.0, 0.0]]
    assert clipped(start, torch.zeros(1, 2), eps=0.0).tolist() == [[0.0, 0.0]]


def test_what_is_bounded_scales_with_the_weights_and_not_with_the_gradient():
    torch.manual_seed(0)
    start, grad = torch.randn(2, 3, 4, dtype=torch.float64).mul(2).unbind()
    once = clipped(start, 100 * grad)
    torch.testing.assert_close(clipped(start, 300 * grad), once, rtol=1e-13, atol=0)
    torch.testing.assert_close(clipped(4 * start, 100 * grad), 4 * once, rtol=1e-13, atol=0)


def test_a_large_factor_or_none_bounds_nothing():
    start, grad = torch.tensor([[1.0, 1.0]]), torch.tensor([[4.0, -8.0]])
    assert torch.equal(clipped(start, grad, factor=100.0), grad)
    assert torch.equal(clipped(start, grad, clip_factor=None), grad)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_it_is_that_of_timm(shape, scale):
    found = importlib.util.find_spec("timm")
    (folder,) = (found.submodule_search_locations if found else None) or [""]
    adaptive_clip_grad = runpy.run_path(f"{folder}/utils/agc.py")["adaptive_clip_grad"]
    torch.manual_seed(0)
    theirs = nn.Parameter(torch.randn(shape, dtype=torch.float64))
    grad = scale * torch.randn(shape, dtype=torch.float64)
    theirs.grad = grad.clone()
    adaptive_clip_grad([theirs], clip_factor=0.2)
    ours = clipped(theirs.detach(), grad, factor=0.2)
    # The step is a difference of numbers of size 1.
    torch.testing.assert_close(ours, theirs.grad, rtol=1e-14, atol=4e-16)
