from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import ASGD, SGD
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # By 1 * (2 + 0.5 * 4); then the rate is 1 / 1.5: by (2 + 0.5 * 0) / 1.5
    path = walk(ASGD, [[2.0], [2.0]], [4.0], lr=1.0, lambd=0.5, alpha=1.0)
    assert path == [[0.0], [pytest.approx(-2 / 1.5)]]


def test_the_mean_is_of_the_points_from_t0_on():
    weight = nn.Parameter(torch.tensor([0.0]))
    optimizer = ASGD([weight], lr=1.0, lambd=0.0, t0=1)
    for _ in range(5):
        weight.grad = torch.tensor([-1.0])
        optimizer.step()
    # The points 1 to 5: the first three replace the mean, then it is that of 3 and 4, and of 5.
    assert optimizer.state[weight]["ax"].item() == pytest.approx((3 + 4 + 5) / 3)


def test_the_opposite_gradients_lead_the_opposite_way():
    opposite = [[-g for g in grad] for grad in GRADS]
    there = ends(ASGD, GRADS, [0.0, 0.0, 0.0])
    assert ends(ASGD, opposite, [0.0, 0.0, 0.0]) == [-x for x in there]


def test_without_decay_it_is_sgd():
    assert ends(ASGD, GRADS, START, lambd=0.0) == ends(SGD, GRADS, START, lr=1e-2)
