from __future__ import annotations

from schuss import Signum
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # m = 1, then 0.5 * 1 - 0.5 * 1.5 = -0.25
    path = walk(Signum, [[2.0], [-1.5]], lr=0.25, momentum=0.5)
    assert path == [[-0.25], [0.0]]


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(Signum, scaled, START) == ends(Signum, GRADS, START)


def test_without_momentum_it_is_the_sign_of_the_gradient():
    path = walk(Signum, [[3.0, -0.5, 0.0]], START, lr=0.25, momentum=0.0)
    assert path == [[0.75, -1.75, 0.5]]
