from __future__ import annotations

import pytest

from schuss import RMSprop
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # v = 4: 4 / 2; then v = 3 + 1: 2 / 2
    path = walk(RMSprop, [[4.0], [2.0]], lr=1.0, alpha=0.75, eps=0.0)
    assert path == [[-2.0], [-3.0]]


def test_momentum_sums_the_updates():
    # 2; then 0.5 * 2 + 1
    path = walk(RMSprop, [[4.0], [2.0]], lr=1.0, alpha=0.75, eps=0.0, momentum=0.5)
    assert path == [[-2.0], [-4.0]]


def test_centered_it_divides_by_the_deviation():
    # v = 4, mean 1: 4 / sqrt(3)
    path = walk(RMSprop, [[4.0]], lr=1.0, alpha=0.75, eps=0.0, centered=True)
    assert path == [[pytest.approx(-4 / 3**0.5)]]


@pytest.mark.parametrize("centered", [False, True])
def test_the_path_ignores_the_scale_of_the_gradients(centered):
    options = {"eps": 0.0, "centered": centered, "momentum": 0.9}
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(RMSprop, scaled, START, **options) == ends(RMSprop, GRADS, START, **options)


def test_without_a_memory_it_is_the_sign_of_the_gradient():
    path = walk(RMSprop, [[3.0, -0.5, 8.0]], START, lr=0.25, alpha=0.0, eps=0.0)
    assert path == [[0.75, -1.75, 0.25]]
