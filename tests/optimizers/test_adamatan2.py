from __future__ import annotations

import math

import pytest

from schuss import AdamAtan2
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # m_hat = 2, v_hat = 4: atan2(2, 2); then m = -1.5 / 0.75 = -2, v = (1 + 8) / 0.75 = 12
    path = walk(AdamAtan2, [[2.0], [-4.0]], lr=1.0, betas=(0.5, 0.5), a=1.0)
    first = -math.pi / 4
    assert path == [[pytest.approx(first)], [pytest.approx(first + math.atan(2 / 12**0.5))]]


def test_the_path_ignores_the_scale_of_the_gradients_however_small():
    scaled = [[1e-100 * g for g in grad] for grad in GRADS]
    assert ends(AdamAtan2, scaled, START) == pytest.approx(ends(AdamAtan2, GRADS, START))


def test_a_gradient_of_zero_does_not_move():
    assert ends(AdamAtan2, [[0.0, 0.0, 0.0]], START) == START


def test_a_large_divisor_makes_it_adam():
    found = ends(AdamAtan2, GRADS, START, lr=1.0, a=1e6, b=1e8)
    from schuss import Adam

    expected = ends(Adam, GRADS, START, lr=1e-2, betas=(0.9, 0.99), eps=0.0)
    assert found == pytest.approx(expected, rel=1e-9)
