from __future__ import annotations

from schuss import Yogi
from tests.optimizers.paths import GRADS, START, ends, walk

OPTIONS = {"lr": 1.0, "betas": (0.5, 0.75), "eps": 0.0, "bias_correction": False}


def test_two_steps_worked_by_hand():
    # v = 0 + 0.25 * 16 = 4, m = 2: 2 / 2; then g^2 = 4 is not larger: v = 4, m = 2: 2 / 2
    path = walk(Yogi, [[4.0], [2.0]], initial_accumulator=0.0, **OPTIONS)
    assert path == [[-1.0], [-2.0]]


def test_the_second_moment_falls_by_small_gradients():
    # v = 4, then 4 - 0.25 * 0 and m = 1: 1 / 2, where Adam's would be 1 / sqrt(3)
    path = walk(Yogi, [[4.0], [0.0]], initial_accumulator=0.0, **OPTIONS)
    assert path == [[-1.0], [-1.5]]


def test_the_opposite_gradients_lead_the_opposite_way():
    opposite = [[-g for g in grad] for grad in GRADS]
    there = ends(Yogi, GRADS, [0.0, 0.0, 0.0])
    assert ends(Yogi, opposite, [0.0, 0.0, 0.0]) == [-x for x in there]


def test_without_a_memory_the_gradient_is_divided_by_its_size():
    path = walk(
        Yogi, [[3.0, -0.5]], [0.0, 0.0], lr=1.0, betas=(0.0, 0.0), eps=0.0, initial_accumulator=0.0
    )
    assert path == [[-1.0, 1.0]]
    assert ends(Yogi, GRADS, START, lr=0.0) == START
