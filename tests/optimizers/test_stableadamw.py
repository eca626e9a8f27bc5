from __future__ import annotations

import pytest

from schuss import AdamW, StableAdamW
from tests.optimizers.paths import GRADS, START, ends, walk

OPTIONS = {"lr": 1.0, "betas": (0.5, 0.5), "eps": 0.0, "weight_decay": 0.0}


def test_two_steps_worked_by_hand():
    # v = 4, rho = 1: 2 / 2. Then the rates are 1 / 3: m = (2 - 8) / 3 * ... = -2, v = 12,
    # rho = sqrt(16 / 12): 2 / sqrt(12) over it is 2 / 4.
    assert walk(StableAdamW, [[2.0], [-4.0]], **OPTIONS) == [[-1.0], [pytest.approx(-0.5)]]


def test_the_decay_slows_down_too():
    options = {**OPTIONS, "weight_decay": 0.5}
    first = 3 - 1 - 1.5
    second = first - (-2 / 12**0.5 + 0.5 * first) / (16 / 12) ** 0.5
    assert walk(StableAdamW, [[2.0], [-4.0]], [3.0], **options) == [
        [first],
        [pytest.approx(second)],
    ]


def test_a_surprise_is_not_larger_for_a_small_second_moment():
    # The rates are 1 / 3 in the second step: v = 6, below 7.5; rho^2 = 9 / 7.5.
    path = walk(StableAdamW, [[0.0], [3.0]], lr=1.0, betas=(0.0, 0.5), eps=7.5**0.5)
    assert path == [[0.0], [pytest.approx(-3 / (6**0.5 + 7.5**0.5) / 1.2**0.5)]]


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    found = ends(StableAdamW, scaled, START, eps=0.0)
    assert found == pytest.approx(ends(StableAdamW, GRADS, START, eps=0.0), rel=1e-12)


def test_without_surprises_it_is_adamw():
    grads = [[1.0, -2.0, 0.5], [0.5, 1.0, -0.25], [0.25, 0.5, 0.125]]
    options = {"betas": (0.9, 0.99), "weight_decay": 0.1, "eps": 0.0, "lr": 0.1}
    assert ends(StableAdamW, grads, START, **options) == pytest.approx(
        ends(AdamW, grads, START, **options)
    )
