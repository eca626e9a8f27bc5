from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import PSGDKron
from schuss.matrices import Heads
from schuss.optimizers.psgdkron import noise, spectral_norm_bound
from tests.optimizers.orthogonal import after, random

START = random(4, 3, seed=9)


def test_a_step_of_one_number_worked_by_hand():
    # Q_L = Q_R = 1, so that A = g and B = V, and both factors become
    # 1 - 0.1 (g^2 - V^2) / (g^2 + V^2). The number is g times the fourth power, of which 1.1 is
    # too much by little: (u^2)^(1/2) + 1e-6.
    v = noise(torch.zeros(1, 1, 1, dtype=torch.float64), 1).item()
    for g in (0.3, 5.0):
        found = -after(
            PSGDKron, [torch.full((1, 1), g).double()], torch.zeros(1, 1).double(), lr=1.0
        )
        factor = 1 - 0.1 * (g**2 - v**2) / (g**2 + v**2)
        expected = g * factor**4
        assert found.item() == pytest.approx(min(expected, 1.1), rel=1e-5)


def test_gradients_are_whitened():
    # Of a covariance with roots of 9 and 1 for rows, and of 4 and 1 for columns.
    rows, cols = torch.tensor([9.0, 1.0]).double(), torch.tensor([4.0, 1.0]).double()
    param = nn.Parameter(torch.zeros(2, 2, dtype=torch.float64))
    optimizer = PSGDKron([param], momentum=0.0, precondition_lr=0.03, foreach=False)
    updates = []
    for step in range(3000):
        before = param.detach().clone()
        param.grad = rows[:, None] * random(2, 2, seed=step) * cols
        optimizer.step()
        updates.append((before - param.detach()) / 3e-4)
    last = torch.stack(updates[1500:])
    assert torch.allclose(last.square().mean(0).sqrt(), torch.full((2, 2), 0.9).double(), rtol=0.2)


def test_an_update_is_not_longer_than_its_bound():
    step = START - after(PSGDKron, [random(4, 3) * 1e6], START, lr=1.0)
    assert step.square().mean().sqrt().item() == pytest.approx(1.1, rel=1e-5)


def test_factors_are_upper_triangular_and_change_as_often_as_is_asked():
    param = nn.Parameter(START.clone())
    optimizer = PSGDKron([param], precondition_frequency=3, foreach=False)
    changed, before = [], torch.eye(4).double()
    for step in range(1, 8):
        param.grad = random(4, 3, seed=step)
        optimizer.step()
        left = optimizer.state[param]["left_factor"][0].clone()
        assert torch.equal(left, left.triu())
        if not torch.equal(left, before):
            changed.append(step)
        before = left
    assert changed == [1, 4, 7]


def test_a_side_that_is_too_long_has_no_factor():
    param = nn.Parameter(START.clone())
    optimizer = PSGDKron([param], max_dim=3, foreach=False)
    param.grad = random(4, 3)
    optimizer.step()
    assert {*optimizer.state[param]} == {"step", "momentum_buffer", "right_factor"}


def test_noise_depends_on_the_step_alone():
    like = torch.zeros(2, 3)
    assert torch.equal(noise(like, 5), noise(like, 5))
    assert not torch.equal(noise(like, 5), noise(like, 6))


def test_the_bound_lies_below_the_spectral_norm_and_near_it():
    x = random(3, 8, 8)
    x = x @ x.mT
    bound = spectral_norm_bound(x)[..., 0, 0]
    exact = torch.linalg.matrix_norm(x, ord=2)
    assert (bound <= exact * (1 + 1e-12)).all()
    assert (bound > 0.8 * exact).all()
    assert spectral_norm_bound(torch.zeros(2, 2)).item() < 1e-30


def test_every_matrix_of_a_parameter_moves_as_it_does_alone():
    # But for the bound, which is of the whole parameter, and above these updates.
    grads = [random(6, 3, seed=seed) * 1e-2 for seed in range(3)]
    start = random(6, 3, seed=9)
    whole = after(PSGDKron, grads, start, matrices=Heads(2))
    for part in (slice(None, 3), slice(3, None)):
        alone = after(PSGDKron, [grad[part] for grad in grads], start[part])
        assert torch.allclose(whole[part], alone)


def test_zeros_stand_still():
    zero = torch.zeros(4, 3, dtype=torch.float64)
    assert torch.equal(after(PSGDKron, [zero] * 3, START), START)
