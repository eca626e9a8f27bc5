from __future__ import annotations

import pytest

from schuss import LaProp
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # v_hat = 4: 2 / 2; then v_hat = (1 + 8) / 0.75 = 12: m = 0.25 - 2 / sqrt(12), over 0.75
    path = walk(LaProp, [[2.0], [-4.0]], lr=1.0, betas=(0.5, 0.5), eps=0.0)
    second = -1 - (0.25 - 2 / 12**0.5) / 0.75
    assert path == [[pytest.approx(-1.0)], [pytest.approx(second)]]


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(LaProp, scaled, START, eps=0.0) == ends(LaProp, GRADS, START, eps=0.0)


def test_without_a_memory_it_is_the_sign_of_the_gradient():
    path = walk(LaProp, [[3.0, -0.5, 8.0]], START, lr=0.25, betas=(0.0, 0.0), eps=0.0)
    assert path == [[0.75, -1.75, 0.25]]
