from __future__ import annotations

import pytest

from schuss import Adan, WeightDecay
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # 2 / 2; then the difference is -6: m_hat = -1.5 / 0.75, d_hat = -1.5 / 0.4375,
    # and n = 0.5 * 2 + 0.5 * (-4 - 4.5)^2 = 37.125, over 0.75
    options = {"lr": 1.0, "betas": (0.5, 0.75, 0.5), "eps": 0.0}
    path = walk(Adan, [[2.0], [-4.0]], **options)
    assert path == [[-1.0], [pytest.approx(-1 + (2 + 0.75 * 1.5 / 0.4375) / 49.5**0.5)]]


def test_the_decay_comes_after_the_step():
    # (3 - 1) / (1 + 1)
    options = {"lr": 1.0, "eps": 0.0}
    assert ends(Adan, [[2.0]], [3.0], weight_decay=1.0, **options) == pytest.approx([1.0])
    # A decay object does as everywhere: (1 - 0.5) 3 - 1
    assert ends(Adan, [[2.0]], [3.0], weight_decay=WeightDecay(0.5), **options) == [
        pytest.approx(0.5)
    ]


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(Adan, scaled, START, eps=0.0) == ends(Adan, GRADS, START, eps=0.0)


def test_without_a_memory_it_is_the_sign_of_the_gradient():
    path = walk(Adan, [[3.0, -0.5, 8.0]], START, lr=0.25, betas=(0.0, 0.0, 0.0), eps=0.0)
    assert path == [[0.75, -1.75, 0.25]]
