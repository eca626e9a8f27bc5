from __future__ import annotations

import pytest

from schuss import NovoGrad
from tests.optimizers.paths import GRADS, START, ends, walk

OPTIONS = {"lr": 1.0, "betas": (0.5, 0.5), "eps": 0.0}


def test_two_steps_worked_by_hand():
    # |g| = 5: (0.6, 0.8); then v = 12.5 + 12.5 * 1: the momentum halves, and (0, 5) / 5 comes.
    path = walk(NovoGrad, [[3.0, 4.0], [0.0, 5.0]], [0.0, 0.0], **OPTIONS)
    assert path == [
        [pytest.approx(-0.6), pytest.approx(-0.8)],
        [pytest.approx(-0.9), pytest.approx(-2.2)],
    ]


def test_the_decay_is_within_the_momentum():
    # 1 + 0.5 * 4 = 3, then 1.5 + 1 + 0.5 * 1
    assert walk(NovoGrad, [[2.0], [2.0]], [4.0], weight_decay=0.5, **OPTIONS) == [[1.0], [-2.0]]


def test_a_mean_takes_a_share_of_each_gradient():
    options = {**OPTIONS, "betas": (0.75, 0.5), "grad_averaging": True}
    assert walk(NovoGrad, [[2.0]], **options) == [[-0.25]]


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(NovoGrad, scaled, START, eps=0.0) == ends(NovoGrad, GRADS, START, eps=0.0)


def test_gradients_of_zero_do_nothing():
    assert ends(NovoGrad, [[0.0, 0.0, 0.0]] * 2, START, eps=0.0) == START


def test_gradients_of_zero_before_the_first_make_no_difference():
    zeros = [[0.0, 0.0, 0.0]] * 2
    assert ends(NovoGrad, [*zeros, *GRADS], START) == ends(NovoGrad, GRADS, START)


def test_gradients_of_zero_afterwards_count():
    # v = 4, 2, then 1 + 2: the momentum is 1, 0.5, then 0.25 + 2 / sqrt(3).
    path = walk(NovoGrad, [[2.0], [0.0], [2.0]], **OPTIONS)
    assert path == [[-1.0], [-1.5], [pytest.approx(-1.75 - 2 / 3**0.5)]]
