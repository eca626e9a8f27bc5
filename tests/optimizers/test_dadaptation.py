from __future__ import annotations

import pytest
import torch
from torch import nn

import schuss
from schuss import SGD, Adam, DAdaptAdam, DAdaptLion, DAdaptSGD, Lion
from tests.optimizers.paths import GRADS, START, ends, walk

ALL = [DAdaptAdam, DAdaptLion, DAdaptSGD, schuss.Prodigy]


def test_four_steps_of_sgd_worked_by_hand():
    # |g_1| = 2, so the rate is d / 2: s = 0.5, 1, 1.5, and r = 0, 0.25, 0.75.
    # 2 r / s = 0, 0.5, 1: the fourth step is twice as long.
    path = walk(DAdaptSGD, [[2.0]] * 4, d0=0.5)
    assert path == [[-0.5], [-1.0], [-1.5], [-2.5]]


def test_two_steps_of_sgd_with_momentum_worked_by_hand():
    # z = -0.5, -1; the mean goes half of the way to each.
    assert walk(DAdaptSGD, [[2.0]] * 2, d0=0.5, momentum=0.5) == [[-0.25], [-0.625]]


def test_two_steps_of_lion_worked_by_hand():
    # s = 0.25, then 0.375; r = 0, then 0.5 * 0.5 * 0.25; r / (0.5 s) = 1 / 3 is less than 0.5.
    path = walk(DAdaptLion, [[2.0], [1.0]], betas=(0.0, 0.25), d0=0.5)
    assert path == [[-0.5], [-1.0]]


def test_two_steps_of_adam_worked_by_hand():
    # Without a memory the estimate is the last step, 0.5.
    assert walk(DAdaptAdam, [[2.0]] * 2, betas=(0.0, 0.0), eps=0.0, d0=0.5) == [[-0.5], [-1.0]]


@pytest.mark.parametrize(("cls", "options"), [(DAdaptAdam, {"eps": 1e-300}), (DAdaptLion, {})])
def test_the_path_ignores_the_scale_of_the_gradients(cls, options):
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    options = {"d0": 1e-2, **options}
    assert ends(cls, scaled, START, **options) == pytest.approx(ends(cls, GRADS, START, **options))


def test_an_estimate_that_may_not_grow_makes_them_what_they_are_built_on():
    options = {"d0": 0.03, "growth_rate": 1.0}
    adam = ends(DAdaptAdam, GRADS, START, use_bias_correction=True, eps=1e-300, **options)
    # The buffer holds steps where Lion's holds gradients: without its share.
    lion = ends(DAdaptLion, GRADS, START, betas=(0.0, 0.99), **options)
    sgd = ends(DAdaptSGD, GRADS, START, **options)
    first = sum(g * g for g in GRADS[0]) ** 0.5
    assert lion == pytest.approx(ends(Lion, GRADS, START, lr=0.03, betas=(0.0, 0.99)))
    assert sgd == pytest.approx(ends(SGD, GRADS, START, lr=0.03 / first))
    # The rate is within the mean here, with the correction of each step's own time.
    assert adam == pytest.approx(ends(Adam, GRADS, START, lr=0.03, eps=0.0), rel=0.1)


@pytest.mark.parametrize("cls", ALL)
def test_groups_share_one_estimate(cls):
    params = [nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2)]
    together = cls([{"params": params[:1]}, {"params": params[1:]}], d0=1e-2)
    alone = nn.Parameter(torch.ones(4, dtype=torch.float64))
    single = cls([alone], d0=1e-2)
    for grad in (torch.arange(1.0, 5.0).double(), torch.tensor([3.0, 1.0, -1.0, 2.0]).double()) * 4:
        params[0].grad, params[1].grad = grad[:2].clone(), grad[2:].clone()
        alone.grad = grad.clone()
        together.step()
        single.step()
    torch.testing.assert_close(torch.cat([p.detach() for p in params]), alone.detach())


@pytest.mark.parametrize("cls", ALL)
def test_groups_with_other_learning_rates_are_refused_and_those_with_zero_stand_still(cls):
    params = [nn.Parameter(torch.ones(2)) for _ in range(2)]
    for param in params:
        param.grad = torch.ones(2)
    optimizer = cls([{"params": params[:1]}, {"params": params[1:], "lr": 0.5}])
    with pytest.raises(ValueError, match="so they must be equal, or 0"):
        optimizer.step()
    optimizer.param_groups[1]["lr"] = 0.0
    optimizer.step()
    assert torch.equal(params[1], torch.ones(2))
    assert (params[0] < 1).all()


@pytest.mark.parametrize("cls", ALL)
def test_gradients_of_zero_do_nothing(cls):
    assert ends(cls, [[0.0, 0.0, 0.0]] * 3, START) == START
