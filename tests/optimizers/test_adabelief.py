from __future__ import annotations

import pytest

from schuss import AdaBelief, Adam
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # betas = (0.5, 0.75), eps = 0.25, gradients 2 and 4:
    #   m: 1, then 2.5; g - m: 1, then 1.5
    #   s: 0.25 * 1 + 0.25 = 0.5; then 0.75 * 0.5 + 0.25 * 2.25 + 0.25 = 1.1875
    first = 2 / ((0.5 / 0.25) ** 0.5 + 0.25)
    second = (10 / 3) / ((1.1875 / 0.4375) ** 0.5 + 0.25)
    options = {"lr": 0.5, "betas": (0.5, 0.75), "eps": 0.25, "rectify": False}
    path = walk(AdaBelief, [[2.0], [4.0]], **options)
    assert path == [[pytest.approx(-0.5 * first)], [pytest.approx(-0.5 * (first + second))]]


def test_without_a_stabilizer_the_scale_of_the_gradient_does_not_matter():
    scaled = [[1000 * x for x in g] for g in GRADS]
    expected = ends(AdaBelief, GRADS, START, eps=0.0, rectify=False)
    assert ends(AdaBelief, scaled, START, eps=0.0, rectify=False) == pytest.approx(expected)


def test_without_first_moment_the_gradient_is_as_expected_and_steps_are_huge():
    # beta1 = 0: m = g, s = eps in the first step, corrected by 1 - 0.75: u = g / (2e-4 + 1e-8)
    path = walk(AdaBelief, [[1e-4]], lr=1.0, betas=(0.0, 0.75), eps=1e-8, rectify=False)
    assert path == [[pytest.approx(-0.5, rel=1e-3)]]


def test_steady_gradients_make_longer_steps_than_adams():
    steady = [[1.0]] * 50
    assert ends(AdaBelief, steady, rectify=False)[0] < 2 * ends(Adam, steady)[0]


def test_amsgrad_keeps_the_largest_variance():
    burst = [[0.0], [10.0], *[[1.0]] * 40]
    options = {"betas": (0.5, 0.5), "rectify": False, "lr": 1.0}
    assert ends(AdaBelief, burst, **options, amsgrad=True) > ends(AdaBelief, burst, **options)
