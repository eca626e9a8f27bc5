from __future__ import annotations

import pytest
import torch

from schuss import SGD
from tests.optimizers.paths import GRADS, START, ends, walk


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, [-0.5, -1.5]),
        # b: 1, then 0.5 * 1 + 2 = 2.5
        ({"momentum": 0.5}, [-0.5, -1.75]),
        # b: 1, then 0.5 + 0.5 * 2 = 1.5
        ({"momentum": 0.5, "dampening": 0.5}, [-0.5, -1.25]),
        # g + 0.5 b: 1.5, then 2 + 1.25 = 3.25
        ({"momentum": 0.5, "nesterov": True}, [-0.75, -2.375]),
        # g + 0.5 theta: 1, then 2 - 0.25 = 1.75
        ({"weight_decay": 0.5}, [-0.5, -1.375]),
    ],
    ids=str,
)
def test_two_steps_worked_by_hand(options, path):
    assert walk(SGD, [[1.0], [2.0]], lr=0.5, **options) == [[x] for x in path]


def test_the_path_scales_with_the_gradient():
    moves = [b - a for a, b in zip(START, ends(SGD, GRADS, START, momentum=0.9), strict=True)]
    doubled = ends(SGD, [[2 * x for x in g] for g in GRADS], START, momentum=0.9)
    twice = [b - a for a, b in zip(START, doubled, strict=True)]
    assert twice == pytest.approx([2 * move for move in moves])


def test_a_steady_gradient_makes_steps_longer_by_one_over_one_minus_momentum():
    path = walk(SGD, [[1.0]] * 200, lr=0.1, momentum=0.9)
    assert path[-1][0] - path[-2][0] == pytest.approx(-0.1 / (1 - 0.9))


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "dampening": 0.1}], ids=str)
def test_nesterov_needs_momentum_and_no_dampening(options):
    with pytest.raises(ValueError, match="Nesterov momentum requires a momentum and zero damp"):
        SGD([torch.zeros(1)], nesterov=True, **options)


def test_without_momentum_there_is_no_state():
    param = torch.zeros(1)
    param.grad = torch.ones(1)
    optimizer = SGD([param])
    optimizer.step()
    assert optimizer.state[param] == {}
