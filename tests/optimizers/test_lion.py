from __future__ import annotations

from schuss import Lion
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # 0.5 * 0 + 0.5 * 2 > 0 and m = 0.5; then 0.5 * 0.5 - 0.5 * 1 < 0
    path = walk(Lion, [[2.0], [-1.0]], lr=0.25, betas=(0.5, 0.75))
    assert path == [[-0.25], [0.0]]


def test_the_buffer_has_a_decay_rate_of_its_own():
    # m = 0.5, then 0.125; 0.5 * 0.125 - 0.5 * 0.25 < 0, where m = 0.5 of beta1 gives 0
    path = walk(Lion, [[2.0], [-1.0], [-0.25]], lr=0.25, betas=(0.5, 0.75))
    assert path[-1] == [0.25]


def test_the_direction_is_of_the_buffer_as_it_was():
    # m = 2; 0.5 * 2 - 0.5 * 1.5 > 0, where the m = 1.125 that is kept would give -0.1875
    path = walk(Lion, [[8.0], [-1.5]], lr=0.25, betas=(0.5, 0.75))
    assert path[-1] == [-0.5]


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(Lion, scaled, START, lr=0.25) == ends(Lion, GRADS, START, lr=0.25)


def test_without_a_memory_it_is_the_sign_of_the_gradient():
    path = walk(Lion, [[3.0, -0.5, 0.0]], START, lr=0.25, betas=(0.0, 0.0))
    assert path == [[0.75, -1.75, 0.5]]
