from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import SGD, AdamW, GaLore
from tests.optimizers.matrices import double, moved
from tests.optimizers.orthogonal import random
from tests.transforms.projected import LR, galore

ADAM = {"lr": LR, "betas": (0.9, 0.95), "eps": 1e-6, "weight_decay": 0.0}


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (7, 7)], ids=str)
@pytest.mark.parametrize("engine", [{}, {"fused": True}], ids=["loop", "fused"])
def test_the_path_is_that_of_the_paper(shape, engine):
    grads = [random(*shape, seed=seed) for seed in range(40)]
    found = moved(AdamW, grads, transforms=[GaLore(3, 7, 0.5)], **ADAM, **engine)
    expected = galore(grads, 3, 7, 0.5)
    assert torch.dist(found, expected) <= 1e-12 * expected.norm()


def test_steps_worked_by_hand():
    # The largest direction of diag(1, 3) is the second. The basis of the first step stays for the
    # second one, whose largest direction is the first; the third finds another.
    grads = [torch.diag(torch.tensor(x)).double() for x in ([1.0, 3.0], [8.0, 2.0], [8.0, 2.0])]
    ends = [moved(SGD, grads[:n], lr=1.0, transforms=[GaLore(1, 2, 0.5)]) for n in (1, 2, 3)]
    assert torch.allclose(ends[0], double([[0.0, 0.0], [0.0, -1.5]]))
    assert torch.allclose(ends[1], double([[0.0, 0.0], [0.0, -2.5]]))
    assert torch.allclose(ends[2], double([[-4.0, 0.0], [0.0, -2.5]]))


@pytest.mark.parametrize("shape", [(2, 3), (3, 2)], ids=str)
def test_the_shorter_side_is_projected(shape):
    param = nn.Parameter(torch.zeros(shape))
    param.grad = random(*shape).float()
    optimizer = SGD([param], lr=1.0, momentum=0.9, transforms=[GaLore(1)])
    optimizer.step()
    kept = optimizer.state[param]
    assert kept["momentum_buffer"].shape == tuple(1 if size == 2 else 3 for size in shape)
    assert kept["galore_basis"].shape == (2, 1)


def test_the_moments_stay_as_they_are_when_the_basis_changes():
    # The buffer is 3 along the second column; then half of it, and 5, are along the first.
    grads = [double([[0.0, 3.0], [0.0, 0.0]]), double([[0.0, 0.0], [5.0, 0.0]])]
    found = moved(SGD, grads, lr=1.0, momentum=0.5, transforms=[GaLore(1, 1, 1.0)])
    assert torch.allclose(found.abs(), double([[1.5, 3.0], [5.0, 0.0]]))


def test_the_decay_acts_on_all_of_the_matrix_and_is_not_scaled():
    start = random(4, 6)
    options = {"lr": 0.1, "weight_decay": 0.5, "transforms": [GaLore(2)]}
    found = moved(AdamW, [torch.zeros_like(start)], start, **options)
    assert torch.allclose(found, -0.05 * start)


def test_nothing_is_lost_of_a_gradient_with_as_few_directions_as_the_basis():
    grad = random(4, 6)
    grad[3] = grad[0] - grad[1]
    found = moved(SGD, [grad], lr=1.0, transforms=[GaLore(3, galore_scale=1.0)])
    assert torch.allclose(found, -grad)
    assert not torch.allclose(moved(SGD, [grad], lr=1.0, transforms=[GaLore(2, 1, 1.0)]), -grad)
