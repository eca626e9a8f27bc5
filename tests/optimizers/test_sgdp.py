from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import SGD, SGDP
from tests.optimizers.paths import GRADS, START, ends, walk


def moved(param, grads, **hyperparameters):
    weight = nn.Parameter(torch.tensor(param, dtype=torch.float64))
    optimizer = SGDP([weight], lr=0.25, foreach=False, **hyperparameters)
    visited = []
    for grad in grads:
        weight.grad = torch.tensor(grad, dtype=torch.float64)
        optimizer.step()
        visited.append(weight.tolist())
    return visited, optimizer.state[weight]["momentum"].tolist()


def test_two_steps_worked_by_hand():
    # At an angle first, b = (2, 4), by 0.25 * b. Then at a right angle to (3.5, -1) times 2:
    # b = (1, 2) + (2, 7), of which (1, 3.5) / 3.5 * 3 is across.
    path, buffer = moved(
        [[4.0, 0.0]], [[[2.0, 4.0]], [[2.0, 7.0]]], momentum=0.5, eps=0.0, delta=0.1
    )
    assert path[0] == [[3.5, -1.0]]
    along = (3.0 * 3.5 - 9.0) / (3.5**2 + 1)
    expected = [3.5 - 0.25 * (3.0 - along * 3.5), -1.0 - 0.25 * (9.0 + along)]
    assert path[1] == [pytest.approx(expected, rel=1e-14)]
    # The buffer is not projected.
    assert buffer == [[3.0, 9.0]]


def test_decay_is_that_of_the_whole_buffer_and_weaker_for_what_is_invariant():
    # 0.25 * 0.25 / (1 - 0.5) of 4, and half of that.
    options = {"momentum": 0.5, "weight_decay": 0.25, "wd_ratio": 0.5}
    assert moved([[4.0, 0.0]], [[[4.0, 0.0]]], **options)[0] == [[[2.5, 0.0]]]
    assert moved([[4.0, 0.0]], [[[0.0, 4.0]]], **options)[0] == [[[3.75, -1.0]]]


def test_the_buffer_starts_at_zero_and_is_dampened_from_the_first_step():
    # 0.75 * 4, then 0.5 * 3 + 0.75 * 2
    path = walk(SGDP, [[4.0], [2.0]], lr=1.0, momentum=0.5, dampening=0.25)
    assert path == [[-3.0], [-6.0]]


@pytest.mark.parametrize("nesterov", [False, True])
def test_vectors_are_left_to_sgd(nesterov):
    options = {"lr": 0.25, "momentum": 0.5, "nesterov": nesterov}
    assert ends(SGDP, GRADS, START, **options) == ends(SGD, GRADS, START, **options)


def test_flipping_all_signs_flips_the_path():
    path, _ = moved([[4.0, 1.0]], [[[1.0, 2.0]], [[-1.0, 3.0]]], momentum=0.5, delta=2.0)
    flipped, _ = moved([[-4.0, -1.0]], [[[-1.0, -2.0]], [[1.0, -3.0]]], momentum=0.5, delta=2.0)
    assert [[[-x for x in row] for row in at] for at in flipped] == path
