from __future__ import annotations

import pytest
import torch

from schuss import Shampoo
from schuss.matrices import Heads
from tests.optimizers.orthogonal import after, polar, random

START = random(5, 3, seed=9)
ALONE = {"betas": (0.0, 1.0), "lr": 1.0}


def test_two_steps_worked_by_hand():
    # L = R = diag(16, 1); (16 * 16)^(-1/4) * 4 = 1, and 1.
    # L = R = diag(16 + 9, 1 + 15); 3 / 25^(1/2) = 0.6, and sqrt(15) / 16^(1/2).
    grads = [torch.diag(torch.tensor(x).double()) for x in ([4.0, 1.0], [3.0, 15**0.5])]
    zero = torch.zeros(2, 2, dtype=torch.float64)
    first = -after(Shampoo, grads[:1], zero, **ALONE)
    assert torch.allclose(first, torch.eye(2).double())
    both = -after(Shampoo, grads, zero, **ALONE)
    assert torch.allclose(both, torch.diag(torch.tensor([1.6, 1 + 15**0.5 / 4]).double()))


def test_the_first_step_is_the_polar_factor():
    grad = random(3, 3)
    step = START[:3] - after(Shampoo, [grad], START[:3], lr=1.0)
    assert torch.allclose(step, polar(grad))


def test_means_forget_and_sums_do_not():
    grads = [random(3, 3, seed=seed) for seed in range(30)]
    ends = [
        after(Shampoo, grads, START[:3], betas=(0.0, beta2))
        - after(Shampoo, grads[:-1], START[:3], betas=(0.0, beta2))
        for beta2 in (1.0, 0.9)
    ]
    # Of sums of 30 squares, and of a mean of one each: sqrt(30) times as long.
    assert ends[1].norm() / ends[0].norm() == pytest.approx(30**0.5, rel=0.5)


def test_grafting_gives_the_norm_of_the_gradient():
    grad = random(5, 3)
    step = START - after(Shampoo, [grad], START, graft="sgd", **ALONE)
    plain = START - after(Shampoo, [grad], START, **ALONE)
    assert torch.allclose(step.norm(), grad.norm())
    assert torch.allclose(step / step.norm(), plain / plain.norm())


def test_one_side_alone_has_twice_the_exponent():
    grad = random(3, 5)
    step = -after(Shampoo, [grad], torch.zeros(3, 5).double(), max_dim=4, **ALONE)
    assert torch.allclose(step, polar(grad))
    neither = -after(Shampoo, [grad], torch.zeros(3, 5).double(), max_dim=2, **ALONE)
    assert torch.allclose(neither, grad)


def test_a_rotation_rotates_the_path():
    left, right = torch.linalg.qr(random(5, 5)).Q, torch.linalg.qr(random(3, 3)).Q
    grads = [random(5, 3, seed=seed) for seed in range(4)]
    # With an eps that is not lost beside eigenvalues of 0.
    expected = left @ after(Shampoo, grads, START, eps=1e-3) @ right
    rotated = [left @ grad @ right for grad in grads]
    assert torch.allclose(after(Shampoo, rotated, left @ START @ right, eps=1e-3), expected)


def test_every_matrix_of_a_parameter_moves_as_it_does_alone():
    start, grads = random(6, 3, seed=9), [random(6, 3, seed=seed) for seed in range(4)]
    whole = after(Shampoo, grads, start, matrices=Heads(2), eps=1e-6)
    for index, part in enumerate(whole.split(3)):
        along = [grad.split(3)[index] for grad in grads]
        assert torch.allclose(part, after(Shampoo, along, start.split(3)[index], eps=1e-6))


def test_zeros_stand_still():
    zero = torch.zeros(5, 3, dtype=torch.float64)
    for graft in (None, "sgd"):
        assert torch.equal(after(Shampoo, [zero] * 2, START, graft=graft), START)
