from __future__ import annotations

import pytest

from schuss import NAdam
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # psi = 0: mu = 0.5 * (1 - 0.5) = 0.25 in every step, its products 1/4, 1/16, 1/64.
    # betas = (0.5, 0.75), gradients 2 and 4: m = 1, 2.5; v_hat = 4, 76/7
    # m_hat: 0.25 * 1 / (15/16) + 0.75 * 2 / (3/4) = 4/15 + 2
    #        0.25 * 2.5 / (63/64) + 0.75 * 4 / (15/16) = 40/63 + 16/5
    first = (4 / 15 + 2) / 2
    second = (40 / 63 + 16 / 5) / (76 / 7) ** 0.5
    path = walk(NAdam, [[2.0], [4.0]], lr=1.0, betas=(0.5, 0.75), eps=0.0, momentum_decay=0.0)
    assert path == [[pytest.approx(-first)], [pytest.approx(-first - second)]]


def test_without_a_stabilizer_the_scale_of_the_gradient_does_not_matter():
    scaled = [[1000 * x for x in g] for g in GRADS]
    assert ends(NAdam, scaled, START, eps=0.0) == pytest.approx(ends(NAdam, GRADS, START, eps=0.0))


def test_without_first_moment_it_is_adam_without_first_moment():
    from schuss import Adam

    options = {"betas": (0.0, 0.9), "lr": 0.1}
    expected = ends(Adam, GRADS, START, **options)
    assert ends(NAdam, GRADS, START, **options) == pytest.approx(expected)
