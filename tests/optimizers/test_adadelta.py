from __future__ import annotations

import pytest

from schuss import SGD, Adadelta
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # v = 8, a = 0: 4 sqrt(1 / 9), a = 8 / 9; then v = 12: 4 sqrt((17 / 9) / 13)
    path = walk(Adadelta, [[4.0], [4.0]], rho=0.5, eps=1.0)
    first = -4 / 3
    assert path == [[pytest.approx(first)], [pytest.approx(first - 4 * (17 / 117) ** 0.5)]]


def test_the_opposite_gradients_lead_the_opposite_way():
    opposite = [[-g for g in grad] for grad in GRADS]
    there = ends(Adadelta, GRADS, [0.0, 0.0, 0.0])
    assert ends(Adadelta, opposite, [0.0, 0.0, 0.0]) == [-x for x in there]


def test_with_a_large_stabilizer_it_is_gradient_descent():
    found = ends(Adadelta, GRADS, START, lr=0.1, eps=1e16)
    assert found == pytest.approx(ends(SGD, GRADS, START, lr=0.1), rel=1e-12)
