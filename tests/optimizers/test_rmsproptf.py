from __future__ import annotations

import pytest

from schuss import RMSprop, RMSpropTF
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # v = 0.75 + 0.25 * 13 = 4: sqrt(13) / 2; then v = 3 + 0.25 * 4 = 4: half of it, and 2 / 2.
    path = walk(RMSpropTF, [[13**0.5], [2.0]], lr=1.0, alpha=0.75, eps=0.0, momentum=0.5)
    first = -(13**0.5) / 2
    assert path == [[pytest.approx(first)], [pytest.approx(1.5 * first - 1)]]


def test_the_opposite_gradients_lead_the_opposite_way():
    opposite = [[-g for g in grad] for grad in GRADS]
    there = ends(RMSpropTF, GRADS, [0.0, 0.0, 0.0])
    assert ends(RMSpropTF, opposite, [0.0, 0.0, 0.0]) == [-x for x in there]


def test_without_a_memory_it_is_rmsprop():
    options = {"lr": 0.1, "alpha": 0.0, "eps": 0.0}
    assert ends(RMSpropTF, GRADS, START, **options) == pytest.approx(
        ends(RMSprop, GRADS, START, **options)
    )
