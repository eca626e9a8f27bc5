from __future__ import annotations

import pytest

from schuss import Adamax
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # m = 1, n = 2: 1 / 0.5 / 2; then m = -1.5, n = max(1, 4): -1.5 / 0.75 / 4
    path = walk(Adamax, [[2.0], [-4.0]], lr=1.0, betas=(0.5, 0.5), eps=0.0)
    assert path == [[-1.0], [-0.5]]


def test_the_largest_gradient_fades():
    # m = 1, n = 2; then m = 0.5 * 1 + 0.5 * 0.25, n = max(0.5 * 2, 0.25)
    path = walk(Adamax, [[2.0], [0.25]], lr=1.0, betas=(0.5, 0.5), eps=0.0)
    assert path[-1] == pytest.approx([-1.0 - 0.625 / 0.75])


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(Adamax, scaled, START, eps=0.0) == ends(Adamax, GRADS, START, eps=0.0)


def test_without_a_memory_it_is_the_sign_of_the_gradient():
    path = walk(Adamax, [[3.0, -0.5, 8.0]], START, lr=0.25, betas=(0.0, 0.0), eps=0.0)
    assert path == [[0.75, -1.75, 0.25]]
