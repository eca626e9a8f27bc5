from __future__ import annotations

import pytest

from schuss import MADGRAD, WeightDecay
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # lambda = 1, sqrt(2): s = 8, v = 64: z = -8 / 4; then s = 8 + 8 sqrt(2), and half of the way.
    path = walk(MADGRAD, [[8.0], [8.0]], lr=1.0, eps=0.0, momentum=0.5)
    s, v = 8 + 8 * 2**0.5, 64 + 64 * 2**0.5
    assert path == [[pytest.approx(-1.0)], [pytest.approx((-1 - s / v ** (1 / 3)) / 2)]]


def test_eightfold_gradients_make_steps_twice_as_long():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    zero = [0.0, 0.0, 0.0]
    found = ends(MADGRAD, scaled, zero, eps=0.0)
    assert found == pytest.approx([2 * x for x in ends(MADGRAD, GRADS, zero, eps=0.0)])


def test_a_mean_that_takes_nothing_stands_still():
    assert ends(MADGRAD, GRADS, START, momentum=1.0) == START


def test_gradients_of_zero_do_nothing():
    assert ends(MADGRAD, [[0.0, 0.0, 0.0]], START, eps=0.0) == START


def test_decoupled_decay_takes_its_whole_share():
    # lambda = 1, s = 8, v = 64: half of 4 and half of 4 - 2, less 0.25 * 4.
    options = {"lr": 1.0, "eps": 0.0, "weight_decay": WeightDecay(0.25)}
    assert ends(MADGRAD, [[8.0]], [4.0], momentum=0.5, **options) == [pytest.approx(2.0)]


def test_without_momentum_the_start_decays():
    # 4 to 3, and to 3 * 0.75, since nothing else moves it.
    options = {"lr": 1.0, "momentum": 0.0, "weight_decay": WeightDecay(0.25)}
    assert walk(MADGRAD, [[0.0], [0.0]], [4.0], **options) == [[3.0], [2.25]]
