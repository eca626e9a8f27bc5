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
