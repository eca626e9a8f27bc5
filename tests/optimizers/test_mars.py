from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import MARS, AdamW
from tests.optimizers.paths import GRADS, START, ends, walk


def test_two_steps_worked_by_hand():
    # With beta_1 = 0.5 and kappa = 1: c = 2 * 0.25 = 0.5; then 0.25 + 0 = 0.25.
    # m = 0.25 over 0.5, v = 0.125 over 0.5: 1; then m = 0.25 over 0.75, v = 0.09375 over 0.75.
    options = {"lr": 1.0, "betas": (0.5, 0.5), "eps": 0.0, "kappa": 1.0, "optimize_1d": True}
    path = walk(MARS, [[0.25], [0.25]], **options)
    assert path == [[-1.0], [pytest.approx(-1 - (1 / 3) / 0.125**0.5)]]


def test_a_corrected_gradient_is_at_most_one_long():
    options = {"optimize_1d": True, "eps": 0.0}
    long = [[1e3 * g for g in grad] for grad in GRADS]
    longer = [[8e3 * g for g in grad] for grad in GRADS]
    assert ends(MARS, longer, START, **options) == pytest.approx(ends(MARS, long, START, **options))


def test_vectors_take_adamw_with_their_own_rates():
    found = ends(MARS, GRADS, START, lr=0.1, weight_decay=0.1)
    expected = ends(AdamW, GRADS, START, lr=0.1, weight_decay=0.1, betas=(0.9, 0.95))
    assert found == pytest.approx(expected)


def test_matrices_are_corrected_and_vectors_are_not():
    params = [nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))]
    for param in params:
        param.grad = torch.ones_like(param)
    optimizer = MARS(params)
    optimizer.step()
    assert ["last_grad" in optimizer.state[param] for param in params] == [True, False]


def moved(shape, dtype=torch.float64, **options):
    """Return how far each of the numbers of a parameter of twos is after one step, and its state.

    With a gradient of 1 / 8 and no stabilizer, AdamW moves by the learning rate.
    """
    param = nn.Parameter(torch.full(shape, 2.0, dtype=dtype))
    optimizer = MARS([param], lr=0.5, eps=0.0, **options)
    param.grad = torch.full_like(param, 0.125)
    optimizer.step()
    distances = 2 - param.detach().real
    assert torch.allclose(distances, distances.flatten()[0])
    return distances.flatten()[0].item(), "last_grad" in optimizer.state[param]


def test_vectors_have_a_learning_rate_and_a_decay_of_their_own():
    options = {"lr_1d_factor": 0.5, "weight_decay": 0.25, "weight_decay_1d": 0.5}
    # 0.5 * 1 + 0.5 * 0.25 * 2; and 0.25 * 1 + 0.25 * 0.5 * 2.
    assert moved((2, 2), **options) == (pytest.approx(0.75), True)
    assert moved((4,), **options) == (pytest.approx(0.5), False)
    # Their decay is that of all if they have none: 0.25 + 0.25 * 0.25 * 2.
    assert moved((4,), **{**options, "weight_decay_1d": None})[0] == pytest.approx(0.375)
    assert moved((), **options, optimize_1d=True) == (pytest.approx(0.75), True)


@pytest.mark.parametrize("engine", [{"foreach": False}, {"foreach": True}, {"fused": True}])
def test_kernels_of_convolutions_may_be_left_out(engine):
    options = {"lr_1d_factor": 0.5, **engine}
    assert moved((2, 2, 1), **options) == (pytest.approx(0.5), True)
    assert moved((2, 2, 1), **options, matrices_only=True) == (pytest.approx(0.25), False)
    assert moved((2, 2), **options, matrices_only=True) == (pytest.approx(0.5), True)


@pytest.mark.parametrize("engine", [{"foreach": False}, {"foreach": True}, {"fused": True}])
def test_a_complex_vector_is_no_matrix(engine):
    options = {"dtype": torch.complex128, "lr_1d_factor": 0.5, **engine}
    assert moved((4,), **options)[1] is False
    assert moved((2, 2), **options, matrices_only=True)[1] is True
    assert moved((2, 2, 2), **options, matrices_only=True)[1] is False


def test_the_correction_may_be_switched_on_and_off():
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = MARS([weight], lr=1.0)
    seen = []
    for on in (False, True, False):
        weight.grad = torch.full_like(weight, 0.25)
        before = optimizer.state[weight].get("exp_avg", torch.zeros(1)).item()
        optimizer.param_groups[0].update(optimize_1d=on, kappa=1.0, betas=(0.5, 0.5))
        optimizer.step()
        share = 0.5 if on else 0.1
        seen.append((optimizer.state[weight]["exp_avg"].item() - before * (1 - share)) / share)
    # The gradient, the gradient and its change since 0, and the gradient.
    assert seen == pytest.approx([0.25, 0.5, 0.25])
