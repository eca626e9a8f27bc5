from __future__ import annotations

import pytest

from schuss import SGD, Adagrad
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # 3 / sqrt(9), then 4 / sqrt(9 + 16)
    path = walk(Adagrad, [[3.0], [4.0]], lr=1.0, eps=0.0)
    assert path == [[-1.0], [-1.8]]


def test_the_learning_rate_decays_from_the_second_step_on():
    path = walk(Adagrad, [[3.0], [4.0]], lr=1.0, eps=0.0, lr_decay=1.0)
    assert path == [[-1.0], [-1.4]]


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(Adagrad, scaled, START, eps=0.0) == ends(Adagrad, GRADS, START, eps=0.0)


def test_over_a_large_sum_it_is_gradient_descent():
    found = ends(Adagrad, GRADS, START, lr=1e6, initial_accumulator_value=1e16)
    assert found == pytest.approx(ends(SGD, GRADS, START, lr=1e-2), rel=1e-12)
