from __future__ import annotations

import pytest

from schuss import ADOPT, SGD
from tests.optimizers.paths import GRADS, START, ends, walk


def test_three_steps_worked_by_hand():
    # v = 4; then 1 / 2 is taken in half, v = 0.5 * 4 + 0.5 * 1; then 9 / sqrt(2.5), bounded.
    path = walk(ADOPT, [[2.0], [1.0], [9.0]], lr=1.0, betas=(0.5, 0.5))
    second = -0.25
    third = second - (0.125 + 0.5 * 2**0.25)
    assert path == [[0.0], [second], [pytest.approx(third)]]


def test_nothing_moves_in_the_first_step():
    assert ends(ADOPT, GRADS[:1], START, weight_decay=0.5, decoupled_weight_decay=True) == START


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(ADOPT, scaled, START) == ends(ADOPT, GRADS, START)


def test_with_the_largest_divisor_it_is_gradient_descent():
    found = ends(ADOPT, GRADS, START, lr=1e3, betas=(0.0, 0.5), eps=1e5, clip_exponent=None)
    assert found == pytest.approx(ends(SGD, GRADS[1:], START, lr=1e-2))
