from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import KLShampoo
from schuss.matrices import Heads
from tests.optimizers.orthogonal import after, random

pytestmark = pytest.mark.usefixtures("without_compiler")

START = random(4, 4, seed=9)
PLAIN = {"weight_decay": 0.0, "lr": 0.1}


def test_three_steps_worked_by_hand():
    # Diagonal gradients of one size: both bases are the identity, whatever the sides are. All
    # eigenvalues start at 0.25, whose inverse roots are 2. The first step only finds the bases.
    # m_2 = 0.5 g_2 = diag(2, 1) times 2 * 2. d_L = d_R = 0.5 * 0.25 + 0.5 mean((2 g)^2 over 2)
    # = diag(0.125 + 16, 0.125 + 4).
    # m_3 = diag(1, 0.5) over d_L^(1/2) d_R^(1/2) = d.
    first, second = torch.eye(2).double(), torch.diag(torch.tensor([4.0, 2.0]).double())
    zero = torch.zeros(2, 2, dtype=torch.float64)
    options = {"betas": (0.5, 0.5), "init_factor": 0.25, "eps": 0.0, **PLAIN, "lr": 1.0}
    grads = [first, second, zero]
    assert torch.equal(after(KLShampoo, grads[:1], zero, **options), zero)
    two = -after(KLShampoo, grads[:2], zero, **options)
    assert torch.allclose(two, torch.diag(torch.tensor([8.0, 4.0]).double()))
    three = -after(KLShampoo, grads, zero, **options) - two
    assert torch.allclose(three, torch.diag(torch.tensor([1 / 16.125, 0.5 / 4.125]).double()))


def test_eps_is_added_to_both_roots_together():
    first, second = torch.eye(2).double(), torch.diag(torch.tensor([4.0, 2.0]).double())
    zero = torch.zeros(2, 2, dtype=torch.float64)
    options = {"betas": (0.5, 0.5), "init_factor": 0.25, "eps": 0.25, **PLAIN, "lr": 1.0}
    # 4 / (1 + 4 * 0.25) = 2 in place of 4.
    two = -after(KLShampoo, [first, second], zero, **options)
    assert torch.allclose(two, torch.diag(torch.tensor([4.0, 2.0]).double()))


def test_a_rotation_of_the_outputs_or_of_the_inputs_rotates_the_path():
    left, right = (torch.linalg.qr(random(4, 4, seed=n)).Q for n in (5, 7))
    grads = [random(4, 4, seed=seed) for seed in range(8)]
    options = {"precondition_frequency": 2, **PLAIN}
    expected = left @ after(KLShampoo, grads, START, **options) @ right
    rotated = [left @ grad @ right for grad in grads]
    found = after(KLShampoo, rotated, left @ START @ right, **options)
    assert torch.allclose(found, expected)


def test_the_scale_of_the_gradients_is_forgotten():
    grads = [random(4, 4, seed=seed) for seed in range(400)]
    options = {"betas": (0.0, 0.9), **PLAIN}
    ends = []
    for factor in (1.0, 3.0):
        scaled = [grad * factor for grad in grads]
        ends.append(
            after(KLShampoo, scaled, START, **options)
            - after(KLShampoo, scaled[:-1], START, **options)
        )
    # The eigenvalues of both sides together are a mean square, whatever each of them is.
    assert torch.allclose(ends[0].norm(), ends[1].norm(), rtol=0.2)


def test_a_root_has_a_bound():
    param = nn.Parameter(torch.zeros(2, 2, dtype=torch.float64))
    optimizer = KLShampoo([param], betas=(0.0, 0.5), init_factor=1e-12, **PLAIN)
    for grad in (torch.eye(2), torch.eye(2) * 1e-9):
        param.grad = grad.double()
        optimizer.step()
    # At most 10 for each side.
    assert torch.allclose(-param.detach() / 0.1, torch.eye(2).double() * 1e-7)


def test_an_eigenvalue_goes_on_from_its_bound():
    param = nn.Parameter(torch.zeros(2, 2, dtype=torch.float64))
    optimizer = KLShampoo([param], betas=(0.0, 0.5), init_factor=1e-12, **PLAIN)
    for grad in (torch.eye(2), torch.zeros(2, 2)):
        param.grad = grad.double()
        optimizer.step()
    # Half of 1 / 10², which belongs to the bound of 10, and not of the 1e-12 that there was.
    values = optimizer.state[param]["left_values"]
    assert torch.allclose(values, torch.full_like(values, 0.005), rtol=1e-12)


def test_every_matrix_of_a_parameter_moves_as_it_does_alone():
    start, grads = random(6, 3, seed=9), [random(6, 3, seed=seed) for seed in range(5)]
    options = {"precondition_frequency": 2, **PLAIN}
    whole = after(KLShampoo, grads, start, matrices=Heads(2), **options)
    for index, part in enumerate(whole.split(3)):
        along = [grad.split(3)[index] for grad in grads]
        assert torch.allclose(part, after(KLShampoo, along, start.split(3)[index], **options))


def test_zeros_stand_still():
    zero = torch.zeros(4, 4, dtype=torch.float64)
    options = {"precondition_frequency": 1, **PLAIN}
    assert torch.equal(after(KLShampoo, [zero] * 3, START, **options), START)
