from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from schuss import APOLLO, SGD, AdamW, APOLLOMini, Lion
from schuss.transforms.apollo import gaussian
from tests.optimizers.matrices import double, moved
from tests.optimizers.orthogonal import random
from tests.transforms.projected import LR, apollo

ADAM = {"lr": LR, "betas": (0.9, 0.95), "eps": 1e-6, "weight_decay": 0.0}
OFTEN = {"apollo_every": 7}


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (7, 7)], ids=str)
@pytest.mark.parametrize("engine", [{}, {"fused": True}], ids=["loop", "fused"])
@pytest.mark.parametrize("whole", [False, True], ids=["of channels", "mini"])
def test_the_path_is_that_of_the_paper(shape, engine, whole):
    grads = [(1 + seed % 5) * random(*shape, seed=seed) for seed in range(40)]
    transform = APOLLOMini(**OFTEN) if whole else APOLLO(3, apollo_scale=2.0, **OFTEN)
    found = moved(AdamW, grads, transforms=[transform], **ADAM, **engine)
    rank, scale = (1, 128) if whole else (3, 2.0)
    expected = apollo(grads, rank, 7, scale, whole=whole, growth=1.01)
    assert torch.dist(found, expected) <= 1e-12 * expected.norm()


def test_a_rule_without_state_leaves_the_gradient_as_it_is():
    grads = [random(4, 6, seed=seed) for seed in range(5)]
    for transform in (APOLLO(2), APOLLOMini(apollo_scale=1.0)):
        transforms = [type(transform)(**{**transform.defaults(), "apollo_growth": None})]
        found = moved(SGD, grads, lr=0.1, transforms=transforms)
        assert torch.allclose(found, -0.1 * sum(grads))


def test_the_scale_is_the_square_of_a_factor():
    grads = [random(4, 6)]
    found = [moved(SGD, grads, lr=1.0, transforms=[APOLLO(2, 200, x)]) for x in (1.0, 9.0)]
    assert torch.allclose(found[1], 3.0 * found[0])


def test_a_step_grows_by_as_much_as_it_may_and_after_a_rest_by_any_amount():
    one = double([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    grads, lengths, before = [one, 4 * one, one / 4, 0 * one, 8 * one], [], torch.zeros_like(one)
    for count in range(1, len(grads) + 1):
        found = moved(SGD, grads[:count], lr=1.0, transforms=[APOLLO(1, apollo_growth=1.5)])
        lengths.append((found - before).norm().item())
        before = found
    assert lengths == pytest.approx([5.0, 7.5, 1.25, 0.0, 40.0])
    free = moved(SGD, grads, lr=1.0, transforms=[APOLLO(1, apollo_growth=None)])
    assert torch.allclose(free, -sum(grads))


def test_channels_without_a_gradient_stand_still():
    grad = random(3, 5)
    grad[:, 2] = 0.0
    found = moved(AdamW, [grad, grad], transforms=[APOLLO(2)], **ADAM)
    assert found.isfinite().all()
    assert [column.any().item() for column in found.T] == [True, True, False, True, True]


def test_a_sign_in_the_projection_is_a_factor_for_each_channel():
    grad = random(3, 5)
    low = gaussian(grad, 2, 0, 0).T @ grad
    factors = math.sqrt(2) / low.norm(dim=0)
    options = {"lr": 1.0, "weight_decay": 0.0, "betas": (0.0, 0.0)}
    found = moved(Lion, [grad], transforms=[APOLLO(2, 200)], **options)
    assert torch.allclose(found, -grad * factors)
    found = moved(Lion, [grad.T], transforms=[APOLLO(2, 200)], **options)
    assert torch.allclose(found, -grad.T * factors[:, None])
    found = moved(Lion, [grad], transforms=[APOLLO(2, 200, apollo_per="tensor")], **options)
    assert torch.allclose(found, -grad * math.sqrt(10) / low.norm())


def test_the_projection_keeps_lengths_in_the_mean():
    x = random(20, 400)
    lengths = [(gaussian(x, 8, 0, n).T @ x).square().sum(0) for n in range(20)]
    ratios = torch.stack(lengths).mean(0) / x.square().sum(0)
    assert ratios.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(gaussian(x, 8, 0, 5), gaussian(x.T, 8, 0, 5))


def test_the_seed_and_the_number_of_changes_decide_alone():
    drawn = [gaussian(random(6, 4), 2, seed, n) for seed in (0, 1) for n in (0, 1)]
    assert len({tuple(p.flatten().tolist()) for p in drawn}) == 4
    torch.manual_seed(3)
    assert torch.equal(gaussian(random(6, 4, seed=1), 2, 0, 1), drawn[1])
    grads = [random(4, 6, seed=seed) for seed in range(9)]
    ends = [moved(AdamW, grads, transforms=[APOLLO(2, apollo_seed=n)], **ADAM) for n in (0, 0, 1)]
    assert torch.equal(ends[0], ends[1])
    assert not torch.allclose(ends[0], ends[2])


def test_nothing_is_kept_of_the_projection():
    param = nn.Parameter(torch.zeros(64, 256))
    optimizer = AdamW([param], transforms=[APOLLOMini()], foreach=False)
    param.grad = torch.randn(64, 256)
    optimizer.step()
    kept = [value for value in optimizer.state[param].values() if isinstance(value, torch.Tensor)]
    assert sum(value.numel() for value in kept) == 2 * 256 + 1
