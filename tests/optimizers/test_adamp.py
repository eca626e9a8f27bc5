from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import AdamP, AdamW, NAdamW, WeightDecay
from tests.optimizers.paths import GRADS, START, ends

PLAIN = {"lr": 0.25, "eps": 0.0, "foreach": False}


def moved(param, grad, **hyperparameters):
    weight = nn.Parameter(torch.tensor(param, dtype=torch.float64))
    weight.grad = torch.tensor(grad, dtype=torch.float64)
    AdamP([weight], **{**PLAIN, **hyperparameters}).step()
    return weight.tolist()


def test_a_step_worked_by_hand():
    # The channels are at a right angle to their gradients, so that of u = (1, 1), and (-1, 1), what
    # is along (4, 0) is dropped, as is half of (0.5, 0.5) + (0.5, -0.5) along the diagonal.
    param, grad = [[4.0, 0.0], [2.0, 2.0]], [[0.0, 3.0], [1.0, -1.0]]
    assert moved(param, grad, betas=(0.0, 0.0), eps=1e-30) == [[4.0, -0.25], [1.75, 2.25]]


def test_momentum_along_the_weights_is_dropped_and_decay_is_weaker():
    weight = nn.Parameter(torch.tensor([[4.0, 0.0]], dtype=torch.float64))
    optimizer = AdamP(
        [weight], **PLAIN, betas=(0.5, 0.0), weight_decay=0.5, wd_ratio=0.5, delta=0.1
    )
    # The first is along the weights: decayed by 0.25 * 0.5 * 4, and moved by 0.25.
    weight.grad = torch.tensor([[3.0, 1e-30]], dtype=torch.float64)
    optimizer.step()
    assert weight.tolist() == [[3.25, -0.25]]
    # m_hat = (0.5 * 1.5 + 0.5 * x) / 0.75, of which the part along is dropped.
    weight.data = torch.tensor([[4.0, 0.0]], dtype=torch.float64)
    weight.grad = torch.tensor([[1e-30, -2.0]], dtype=torch.float64)
    optimizer.step()
    # Across: m_hat / 2 = -2 / 3; along: decay of 0.25 * 0.5 * 0.5 * 4.
    expected = [[3.75, pytest.approx(0.25 * 2 / 3, rel=1e-15)]]
    assert weight.tolist() == expected


def test_vectors_are_left_to_adamw():
    options = {**PLAIN, "weight_decay": 0.5}
    expected = ends(AdamW, GRADS, START, **options)
    assert ends(AdamP, GRADS, START, delta=100.0, **options) == pytest.approx(expected, rel=1e-14)


def test_with_nesterov_vectors_are_left_to_nadamw():
    options = {**PLAIN, "weight_decay": 0.5}
    expected = ends(NAdamW, GRADS, START, **options)
    assert ends(AdamP, GRADS, START, nesterov=True, **options) == pytest.approx(expected, rel=1e-14)


def test_a_threshold_of_zero_projects_nothing():
    param, grad = [[4.0, 0.0]], [[0.0, 3.0]]
    assert moved(param, grad, eps=1e-30, weight_decay=0.5, delta=0.0) == [[3.5, -0.25]]
    assert moved(param, grad, eps=1e-30, weight_decay=0.5) == [[3.95, -0.25]]


def test_a_decay_object_is_not_made_weaker():
    param, grad = [[4.0, 0.0]], [[0.0, 3.0]]
    assert moved(param, grad, eps=1e-30, weight_decay=WeightDecay(0.5)) == [[3.5, -0.25]]


def test_the_step_across_the_weights_ignores_their_scale():
    for weight in (4.0, 16.0):
        assert moved([[weight, 0.0]], [[0.0, 3.0]], eps=1e-30) == [[weight, -0.25]]
