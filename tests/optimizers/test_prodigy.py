from __future__ import annotations

import pytest

from schuss import Adam, Prodigy
from tests.optimizers.paths import GRADS, START, ends, walk


def test_four_steps_worked_by_hand():
    # Without a memory every step is d long, and d is as far as it has come one step before:
    # 0.5, 0.5, 0.5, then 1, the distance before the third step.
    path = walk(Prodigy, [[2.0]] * 4, betas=(0.0, 0.0), eps=0.0, d0=0.5)
    assert path == [[-0.5], [-1.0], [-1.5], [-2.5]]


def test_the_stabilizer_is_as_large_as_the_next_estimate():
    # A step is d * 2d / (2d + next d): 1/2 is the estimate until 2/3, the distance before the third
    # step, is more; before the fourth it is 29/30.
    path = walk(Prodigy, [[2.0]] * 4, betas=(0.0, 0.0), eps=1.0, d0=0.5)
    steps = [1 / 3, 1 / 3, 0.5 / (1 + 2 / 3), 8 / 9 / (4 / 3 + 29 / 30)]
    assert path == [[pytest.approx(-sum(steps[: n + 1]))] for n in range(4)]


def test_only_growth_after_the_first_is_bounded():
    # As far as above until the estimate has doubled, and no further.
    options = {"betas": (0.0, 0.0), "eps": 0.0, "d0": 0.5, "growth_rate": 1.0}
    path = walk(Prodigy, [[2.0]] * 6, **options)
    assert path == [[-0.5], [-1.0], [-1.5], [-2.5], [-3.5], [-4.5]]


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    options = {"eps": 0.0, "d0": 1e-2}
    assert ends(Prodigy, scaled, START, **options) == ends(Prodigy, GRADS, START, **options)


def test_an_estimate_that_does_not_grow_makes_it_adam():
    options = {"d0": 0.03, "d_coef": 1e-9, "use_bias_correction": True, "eps": 0.0}
    found = ends(Prodigy, GRADS, START, **options)
    assert found == pytest.approx(ends(Adam, GRADS, START, lr=0.03, eps=0.0))


def test_no_momentum_is_what_little_momentum_leads_to():
    # The authors' package steps otherwise with none: by the estimate that the gradient has changed.
    none, little = (ends(Prodigy, GRADS, START, betas=(b, 0.9), d0=0.1) for b in (0.0, 1e-9))
    assert none == pytest.approx(little, rel=1e-7)
