from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from schuss import SGD, AdamWScheduleFree, RAdamScheduleFree, SGDScheduleFree
from tests.optimizers.paths import GRADS, START, ends, walk

ALL = [SGDScheduleFree, AdamWScheduleFree, RAdamScheduleFree]


def test_two_steps_of_sgd_worked_by_hand():
    # z = x = y = -2. Then z = -4, x = -3, the mean of both, and y halfway between them.
    assert walk(SGDScheduleFree, [[2.0], [2.0]], lr=1.0, momentum=0.5) == [[-2.0], [-3.5]]


def test_two_steps_of_adamw_worked_by_hand():
    # z = x = y = -1. Then the direction is -4 / sqrt(12) = d, z = -1 - d, x = -1 - d / 2.
    d = -4 / 12**0.5
    path = walk(AdamWScheduleFree, [[2.0], [-4.0]], lr=1.0, betas=(0.5, 0.5), eps=0.0)
    assert path == [[-1.0], [pytest.approx(-1 - 0.75 * d)]]


def test_radam_stands_still_until_it_can_be_rectified():
    path = walk(RAdamScheduleFree, [[2.0]] * 6)
    assert [x == 0.0 for (x,) in path] == [True] * 4 + [False] * 2
    assert ends(RAdamScheduleFree, [[2.0]], lr=1.0, silent_sgd_phase=False) == [-2.0]


def test_the_evaluated_weights_are_the_mean_of_the_points():
    weight = nn.Parameter(torch.tensor([0.0], dtype=torch.float64))
    optimizer = SGDScheduleFree([weight], lr=0.5, momentum=0.9)
    points = []
    for grad in (2.0, -1.0, 3.0):
        weight.grad = torch.tensor([grad], dtype=torch.float64)
        optimizer.step()
        points.append(optimizer.state[weight]["z"].item())
        with optimizer.evaluating():
            assert weight.item() == pytest.approx(sum(points) / len(points))


@pytest.mark.parametrize("cls", [AdamWScheduleFree, RAdamScheduleFree])
def test_the_path_ignores_the_scale_of_the_gradients(cls):
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(cls, scaled, START, eps=0.0) == ends(cls, GRADS, START, eps=0.0)


def test_gradients_almost_at_the_points_make_it_sgd():
    found = ends(SGDScheduleFree, GRADS, START, lr=0.1, momentum=1e-9)
    assert found == pytest.approx(ends(SGD, GRADS, START, lr=0.1))


def test_a_warm_up_rises_linearly():
    # z moves by 1 / 4, 2 / 4, 3 / 4, and then by 1.
    weight = nn.Parameter(torch.tensor([0.0]))
    optimizer = SGDScheduleFree([weight], lr=1.0, warmup_steps=4)
    places = [0.0]
    for _ in range(6):
        weight.grad = torch.tensor([-1.0])
        optimizer.step()
        places.append(optimizer.state[weight]["z"].item())
    moves = [b - a for a, b in pairwise(places)]
    assert moves == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
