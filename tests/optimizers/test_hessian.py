from __future__ import annotations

from typing import Any

import pytest
import pytorch_optimizer
import torch
from torch import nn

from schuss import AdaHessian, Adam, SophiaH
from schuss.curvature import hutchinson
from tests.conformance.trajectories import ON
from tests.optimizers.paths import GRADS, START, ends


def test_a_diagonal_hessian_is_found_at_once():
    weight = torch.tensor([1.0, 2.0, -1.0], requires_grad=True)
    (found,) = hutchinson((weight**3).sum(), [weight])
    assert torch.equal(found, 6 * weight.detach())


def test_the_mean_of_many_estimates_is_the_diagonal():
    torch.manual_seed(0)
    matrix = torch.tensor([[2.0, 1.0, -1.0], [1.0, 3.0, 0.5], [-1.0, 0.5, 4.0]])
    weight = torch.ones(3, requires_grad=True)
    (found,) = hutchinson(weight @ matrix @ weight / 2, [weight], samples=2000)
    # Its deviation is the root of the sum of squares beside the diagonal, over that of samples.
    torch.testing.assert_close(found, torch.tensor([2.0, 3.0, 4.0]), rtol=0, atol=0.15)


def test_what_the_loss_does_not_depend_on_has_no_estimate_and_what_is_linear_none_but_zero():
    used, linear, unused = (torch.ones(2, requires_grad=True) for _ in range(3))
    found = hutchinson((used**2).sum() + linear.sum(), [used, linear, unused])
    assert torch.equal(found[0], torch.full((2,), 2.0))
    assert torch.equal(found[1], torch.zeros(2))
    assert found[2] is None
    with pytest.raises(ValueError, match="samples must be a whole number, at least 1"):
        hutchinson(used.sum(), [used], samples=0)


def test_complex_weights_have_two_curvatures():
    weight = torch.tensor([1 + 2j], requires_grad=True)
    (found,) = hutchinson((weight.real**2).sum() + 3 * (weight.imag**2).sum(), [weight])
    assert torch.equal(found, torch.tensor([2 + 6j]))


@pytest.mark.parametrize("engine", ON)
@pytest.mark.parametrize("name", ["AdaHessian", "SophiaH"])
def test_they_move_as_pytorch_optimizer_does_with_the_same_estimates(name, engine):
    torch.manual_seed(0)
    start = torch.randn(7, dtype=torch.float64)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    if name == "AdaHessian":
        mine: Any = AdaHessian([ours], lr=0.1, weight_decay=0.3, **ON[engine])
        reference: Any = pytorch_optimizer.AdaHessian([theirs], lr=0.1, weight_decay=0.3, eps=1e-8)
    else:
        setting = {"lr": 0.1, "betas": (0.96, 0.99), "weight_decay": 0.3}
        mine = SophiaH([ours], rho=1.0, eps=1e-2, **setting, **ON[engine])
        reference = pytorch_optimizer.SophiaH([theirs], p=1.0, eps=1e-2, **setting)
    for _ in range(100):
        grad, estimate = torch.randn(2, 7, dtype=torch.float64)
        ours.grad, theirs.grad = grad.clone(), grad.clone()
        mine.set_hessian([estimate.clone()])
        mine.step()
        reference.step(hessian=[estimate.clone()])
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


def test_two_steps_of_adahessian_worked_by_hand():
    weight = nn.Parameter(torch.tensor([0.0]))
    optimizer = AdaHessian([weight], lr=1.0, betas=(0.5, 0.5), eps=0.0)
    # m = 1 and v = 2, both over 0.5: 2 / 2. Then m = 1.5 and v = 1 + 0.5 * 16, both over 0.75.
    for grad, estimate, expected in ((2.0, -2.0, -1.0), (2.0, 4.0, -1 - 2 / 12**0.5)):
        optimizer.set_hessian([torch.tensor([estimate])])
        weight.grad = torch.tensor([grad])
        optimizer.step()
        assert weight.item() == pytest.approx(expected)


def test_the_gradient_stays_while_the_hessian_is_taken():
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = SophiaH([weight])
    weight.grad = torch.tensor([5.0])
    optimizer.estimate_hessian(weight.square().sum())
    assert weight.grad.item() == 5.0
    assert optimizer.state[weight]["hessian"].item() == pytest.approx(0.02)
    with pytest.raises(ValueError, match="the diagonal has 2 tensors, but there are 1 parameters"):
        optimizer.set_hessian([None, None])


def test_without_curvature_adahessian_is_gradient_descent():
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = AdaHessian([weight], lr=0.5, betas=(0.0, 0.0), hessian_power=0.0, eps=0.0)
    weight.grad = torch.tensor([2.0])
    optimizer.step()
    assert weight.item() == 2.0


def test_before_the_first_estimate_adahessian_is_adam():
    found = ends(AdaHessian, GRADS, START, lr=0.1)
    assert found == pytest.approx(ends(Adam, GRADS, START, lr=0.1))
