from __future__ import annotations

import pytest

from schuss import Adam, AdEMAMix
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # m1_hat = 2, m2 = 0.5, v_hat = 4: (2 + 2 * 0.5) / 2;
    # then m1_hat = -1.5 / 0.75, m2 = 0.75 * 0.5 - 0.25 * 4, v_hat = 9 / 0.75
    options = {"lr": 1.0, "betas": (0.5, 0.5, 0.75), "eps": 0.0, "alpha": 2.0}
    path = walk(AdEMAMix, [[2.0], [-4.0]], **options)
    second = -1.5 + (2 + 2 * 0.625) / 12**0.5
    assert path == [[-1.5], [pytest.approx(second)]]


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(AdEMAMix, scaled, START, eps=0.0) == ends(AdEMAMix, GRADS, START, eps=0.0)


def test_without_the_slow_mean_it_is_adam():
    assert ends(AdEMAMix, GRADS, START, alpha=0.0) == pytest.approx(ends(Adam, GRADS, START))


def test_the_half_life_of_the_slow_mean_grows_linearly():
    optimizer = AdEMAMix([_param()], betas=(0.5, 0.999, 0.5**0.1), t_alpha_beta3=9)
    group = optimizer.param_groups[0]
    # 0.5 ** (1 / half-life), from a half-life of 1 to one of 10 after 9 steps.
    for step, half_life in ((3, 4.0), (6, 7.0), (9, 10.0), (12, 10.0)):
        alpha, beta3 = optimizer.slow({"step": step}, group)
        assert beta3 == pytest.approx(0.5 ** (1 / half_life))
        assert alpha == pytest.approx(5.0 * min(step / 9, 1))


def _param():
    import torch

    return torch.nn.Parameter(torch.zeros(1))


def test_bad_decay_rates_are_refused():
    with pytest.raises(ValueError, match="the first and the third must be above 0"):
        AdEMAMix([_param()], betas=(0.0, 0.99, 0.9), t_alpha_beta3=10)
