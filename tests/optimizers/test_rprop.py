from __future__ import annotations

import pytest

from schuss import Rprop
from tests.optimizers.paths import GRADS, START, ends, walk


def test_four_steps_worked_by_hand():
    # 1, then 2 in the same direction; then the sign changes: 1 is kept for later, nothing moves;
    # then 1, because the last gradient counts as none.
    path = walk(Rprop, [[3.0], [0.1], [-5.0], [-5.0]], lr=1.0, etas=(0.5, 2.0))
    assert path == [[-1.0], [-3.0], [-3.0], [-2.0]]


def test_steps_are_bounded():
    path = walk(Rprop, [[1.0]] * 3, lr=1.0, etas=(0.5, 2.0), step_sizes=(0.1, 1.5))
    assert path == [[-1.0], [-2.5], [-4.0]]


def test_the_path_ignores_the_size_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(Rprop, scaled, START) == ends(Rprop, GRADS, START)


def test_a_shortest_step_above_the_longest_is_refused():
    with pytest.raises(ValueError, match=r"step_sizes\[0\] must be at most step_sizes\[1\]"):
        walk(Rprop, [[1.0]], step_sizes=(2.0, 1.0))
