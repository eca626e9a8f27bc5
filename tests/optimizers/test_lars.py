from __future__ import annotations

import pytest

from schuss import LARS, SGD
from tests.optimizers.paths import GRADS, START, ends, walk

OPTIONS = {"lr": 1.0, "momentum": 0.5, "trust_coefficient": 0.5, "eps": 0.0}


def test_two_steps_worked_by_hand():
    # The local rates are 0.5 * 8 / 2 and 0.5 * 4 / 4: b = 4, then 0.5 * 4 + 2.
    assert walk(LARS, [[2.0], [4.0]], [8.0], **OPTIONS) == [[4.0], [0.0]]


def test_the_local_rate_knows_of_the_decay():
    # 0.5 * 8 / (2 + 0.25 * 8) = 1: by 2 + 0.25 * 8
    assert walk(LARS, [[2.0]], [8.0], weight_decay=0.25, **OPTIONS) == [[4.0]]


def test_nesterovs_momentum_looks_ahead():
    # The step is 4 and b = 4: 4 + 0.5 * 4
    assert walk(LARS, [[2.0]], [8.0], nesterov=True, **OPTIONS) == [[2.0]]


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(LARS, scaled, START, **OPTIONS) == ends(LARS, GRADS, START, **OPTIONS)


def test_without_a_local_rate_it_is_sgd():
    found = ends(LARS, GRADS, START, lr=0.1, trust_coefficient=None, weight_decay=0.1)
    expected = ends(SGD, GRADS, START, lr=0.1, momentum=0.9, weight_decay=0.1)
    assert found == pytest.approx(expected)


def test_without_a_gradient_the_decay_has_its_local_rate():
    # 0.5 * 8 / (0.25 * 8) = 2, times 0.25 * 8; as for a gradient that is next to nothing.
    options = {**OPTIONS, "weight_decay": 0.25}
    assert ends(LARS, [[0.0]], [8.0], **options) == [4.0]
    assert ends(LARS, [[1e-30]], [8.0], **options) == [4.0]
    # Without decay there is nothing to take a rate of.
    assert ends(LARS, [[0.0]], [8.0], **OPTIONS) == [8.0]


def test_weights_of_zero_move_as_in_sgd():
    assert ends(LARS, [[2.0]], [0.0], weight_decay=0.25, **OPTIONS) == [-2.0]
