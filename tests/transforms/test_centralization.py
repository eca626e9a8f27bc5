from __future__ import annotations

import pytest
import pytorch_optimizer
import torch
from torch import nn

from schuss import SGD, GradientCentralization

SHAPES = ((3, 4), (2, 3, 2, 2), (5,), (), (1, 1))


def centralized(grad, **group):
    """Return minus the step of gradient descent of length 1 from zero."""
    param = nn.Parameter(torch.zeros_like(grad))
    param.grad = grad
    SGD([{"params": [param], **group}], lr=1.0, transforms=[GradientCentralization()]).step()
    return -param.detach()


def test_the_mean_of_every_row_is_subtracted():
    # The means are 2 and -1.
    grad = torch.tensor([[1.0, 2.0, 3.0], [-4.0, 0.0, 1.0]])
    assert centralized(grad).tolist() == [[-1.0, 0.0, 1.0], [-3.0, 1.0, 2.0]]


def test_the_mean_of_a_filter_is_one_over_all_that_belongs_to_an_output():
    # (1 + 3 + 5 + 7) / 4 = 4
    grad = torch.tensor([[[[1.0, 3.0]], [[5.0, 7.0]]]])
    assert centralized(grad).tolist() == [[[[-3.0, -1.0]], [[1.0, 3.0]]]]


def test_vectors_scalars_and_groups_that_do_not_ask_are_left():
    for grad in (torch.tensor([1.0, 2.0]), torch.tensor(3.0)):
        assert torch.equal(centralized(grad), grad)
    grad = torch.tensor([[1.0, 2.0]])
    assert torch.equal(centralized(grad, gradient_centralization=False), grad)


def test_a_shift_of_a_row_makes_no_difference_nor_does_a_second_time():
    torch.manual_seed(0)
    grad = torch.randn(3, 4, dtype=torch.float64)
    once = centralized(grad)
    shift = torch.tensor([[1.0], [-2.0], [4.0]])
    torch.testing.assert_close(centralized(grad + shift), once, rtol=0, atol=1e-14)
    torch.testing.assert_close(centralized(once), once, rtol=0, atol=1e-15)


def test_with_one_weight_for_each_output_nothing_moves():
    assert centralized(torch.tensor([[1.0], [2.0]])).tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_that_of_pytorch_optimizer(shape):
    torch.manual_seed(0)
    grad = torch.randn(shape, dtype=torch.float64)
    theirs = grad.clone()
    pytorch_optimizer.centralize_gradient(theirs)
    torch.testing.assert_close(centralized(grad), theirs, rtol=0, atol=1e-15)
