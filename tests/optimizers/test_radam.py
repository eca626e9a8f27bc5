from __future__ import annotations

import math

import pytest

from schuss import Adam, RAdam
from tests.optimizers.paths import GRADS, START, ends, walk


def test_the_first_five_steps_are_those_of_momentum_and_the_sixth_is_rectified():
    # Steady gradients of 1: both corrected moments are 1, so that the update is 1, then r.
    # rho_inf = 1999; at t = 6, rho = 5.9940..: r = 0.0258 (Liu et al. begin at rho > 4, t = 5)
    path = walk(RAdam, [[1.0]] * 6, lr=1.0, eps=0.0)
    assert [x for (x,) in path[:5]] == pytest.approx([-1, -2, -3, -4, -5])
    assert path[5][0] - path[4][0] == pytest.approx(-0.0258, abs=5e-5)


def test_two_steps_worked_by_hand():
    # betas = (0.5, 0.75): rho_inf = 7, rho_1 = 1, rho_2 = 7 - 4 * 0.5625 / 0.4375 = 1.857:
    # m_hat, which is 2 and then 2.5 / 0.75
    path = walk(RAdam, [[2.0], [4.0]], lr=0.5, betas=(0.5, 0.75))
    assert path == [[-1.0], [pytest.approx(-1 - 0.5 * 2.5 / 0.75)]]


def test_after_many_steps_it_is_adam():
    # r = 1 - 1e-10 by then
    radam, adam = (
        walk(cls, [[1.0, 2.0]] * 4000, [0.0, 0.0], betas=(0.9, 0.99)) for cls in (RAdam, Adam)
    )
    last = [[b - a for a, b in zip(*path[-2:], strict=True)] for path in (radam, adam)]
    assert last[0] == pytest.approx(last[1], rel=1e-7)


def test_without_the_phase_of_momentum_the_parameter_waits_but_decays():
    options = {"lr": 0.5, "degenerated_to_sgd": False}
    assert ends(RAdam, GRADS[:5], START, **options) == START
    assert ends(RAdam, GRADS[:6], START, **options) != START
    decayed = ends(
        RAdam, GRADS[:1], START, **options, weight_decay=0.5, decoupled_weight_decay=True
    )
    assert decayed == [0.75 * x for x in START]


@pytest.mark.parametrize(("threshold", "momentum_steps"), [(4.0, 4), (5.0, 5)])
def test_the_threshold_decides_when_rectification_begins(threshold, momentum_steps):
    path = walk(RAdam, [[1.0]] * 7, lr=1.0, rho_threshold=threshold)
    lengths = [a - b for (a,), (b,) in zip([[0.0], *path], path, strict=False)]
    assert sum(length > 0.5 for length in lengths) == momentum_steps


def test_a_threshold_may_include_five():
    # beta2 = 0.75: rho_inf = 7, approached from below; 5 exactly is between two steps.
    assert math.nextafter(5, 0) < 5.0
    path = walk(RAdam, GRADS, START, rho_threshold=math.nextafter(5, 0))
    assert path == walk(RAdam, GRADS, START)
