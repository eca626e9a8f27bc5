from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import DoG, LDoG
from tests.optimizers.paths import GRADS, START, ends, walk

OPTIONS = {"reps_rel": 0.5, "eps": 0.0}


@pytest.mark.parametrize("cls", [DoG, LDoG])
def test_three_steps_worked_by_hand(cls):
    # The first is 0.5 * (1 + 3) long. Then the distance is 2 and the root sqrt(8), and sqrt(12).
    path = walk(cls, [[2.0], [2.0], [2.0]], [3.0], **OPTIONS)
    second = 1 - 2 * 2 / 8**0.5
    third = second - (3 - second) * 2 / 12**0.5
    assert path == [[1.0], [pytest.approx(second)], [pytest.approx(third)]]


@pytest.mark.parametrize("cls", [DoG, LDoG])
def test_the_path_ignores_the_scale_of_the_gradients(cls):
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(cls, scaled, START, **OPTIONS) == pytest.approx(ends(cls, GRADS, START, **OPTIONS))


def test_of_one_parameter_both_are_the_same():
    assert ends(DoG, GRADS, START) == pytest.approx(ends(LDoG, GRADS, START))


@pytest.mark.parametrize("cls", [DoG, LDoG])
def test_gradients_of_zero_do_nothing(cls):
    assert ends(cls, [[0.0, 0.0, 0.0]] * 2, START, eps=0.0) == START


def test_a_group_has_one_rate_and_layers_their_own():
    for cls, same in ((DoG, True), (LDoG, False)):
        params = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
        grads = [1.0, 3.0]
        for param, grad in zip(params, grads, strict=True):
            param.grad = torch.tensor([grad])
        cls(params, **OPTIONS).step()
        rates = [param.item() / grad for param, grad in zip(params, grads, strict=True)]
        assert (rates[0] == pytest.approx(rates[1])) is same
