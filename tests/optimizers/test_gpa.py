from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import GPA, Adam, WeightDecay
from tests.optimizers.paths import GRADS, START, ends, walk

OPTIONS = {"lr": 1.0, "betas": (0.5, 0.5), "eps": 0.0}


def test_two_steps_worked_by_hand():
    # z = -1, x = -0.25, y halfway. Then m_hat = -2 and v_hat = 12: with d = -2 / sqrt(12),
    # z = -1 - d, x = 0.75 * -0.25 + 0.25 z.
    options = {**OPTIONS, "train_interp_coeff": 0.5, "eval_interp_coeff": 0.75}
    z = -1 + 2 / 12**0.5
    second = (0.75 * -0.25 + 0.25 * z + z) / 2
    assert walk(GPA, [[2.0], [-4.0]], **options) == [[-0.625], [pytest.approx(second)]]


@pytest.mark.parametrize(("engine"), ["loop", "foreach", "fused"])
def test_decay_shrinks_z_or_y_as_the_authors_have_it(engine):
    # From y = z = 2 with a rate of 0.5, a coefficient of 0.4 and no gradient: one shrinks by 0.2,
    # to 1.6. Then y goes 1 - 0.75 of its way to z.
    on = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
    options = {**OPTIONS, "lr": 0.5, "eps": 1.0, "eval_interp_coeff": 0.75, "weight_decay": 0.4}
    of_z = ends(GPA, [[0.0]], [2.0], **options, **on[engine])
    assert of_z == [pytest.approx(2 + (1.6 - 2) / 4)]
    of_y = ends(GPA, [[0.0]], [2.0], **options, decay_on_y=True, **on[engine])
    assert of_y == [pytest.approx(1.6 + (2 - 1.6) / 4)]


def test_decay_that_is_added_to_the_gradient_is_of_y():
    options = {**OPTIONS, "eps": 1.0, "weight_decay": WeightDecay(1.0, weight_decouple=False)}
    # The first gradient is y = 2 itself, then y and not z.
    found = walk(GPA, [[0.0], [0.0]], [2.0], **options)
    by_hand = walk(GPA, [[2.0], found[0]], [2.0], **{**options, "weight_decay": 0.0})
    assert found == by_hand


def test_the_stabilizer_is_added_to_the_root():
    # z = -2 / (2 + 1), x = z / 4, y halfway.
    options = {**OPTIONS, "eps": 1.0, "train_interp_coeff": 0.5, "eval_interp_coeff": 0.75}
    assert ends(GPA, [[2.0]], [0.0], **options) == [pytest.approx(-5 / 12)]


def test_the_mean_is_evaluated():
    weight = nn.Parameter(torch.tensor([0.0], dtype=torch.float64))
    optimizer = GPA([weight], eval_interp_coeff=0.75, **OPTIONS)
    mean = 0.0
    for grad in (2.0, -4.0, 1.0):
        weight.grad = torch.tensor([grad], dtype=torch.float64)
        optimizer.step()
        mean = 0.75 * mean + 0.25 * optimizer.state[weight]["z"].item()
        with optimizer.evaluating():
            assert weight.item() == pytest.approx(mean)


def test_the_path_ignores_the_scale_of_the_gradients():
    scaled = [[8.0 * g for g in grad] for grad in GRADS]
    assert ends(GPA, scaled, START, eps=0.0) == ends(GPA, GRADS, START, eps=0.0)


def test_a_mean_without_a_memory_makes_it_adam():
    found = ends(GPA, GRADS, START, lr=0.1, eval_interp_coeff=0.0)
    assert found == pytest.approx(ends(Adam, GRADS, START, lr=0.1))
