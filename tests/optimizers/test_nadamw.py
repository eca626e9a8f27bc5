from __future__ import annotations

import pytest

from schuss import AdamW, NAdamW
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # m = 1, ahead 1.5, over 0.5: 3 / 2; then m = -1.5, ahead -2.75, over 0.75, v_hat = 12
    options = {"lr": 1.0, "betas": (0.5, 0.5), "eps": 0.0, "weight_decay": 0.0}
    path = walk(NAdamW, [[2.0], [-4.0]], **options)
    assert path == [[-1.5], [pytest.approx(-1.5 + 2.75 / 0.75 / 12**0.5)]]


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(NAdamW, scaled, START, eps=0.0) == ends(NAdamW, GRADS, START, eps=0.0)


def test_without_momentum_it_is_adamw():
    options = {"betas": (0.0, 0.9), "lr": 0.1}
    found = ends(NAdamW, GRADS, START, **options)
    assert found == pytest.approx(ends(AdamW, GRADS, START, **options))
