from __future__ import annotations

import pytest
import torch

from schuss import AdaMuon
from schuss.matrices import Heads
from tests.optimizers.orthogonal import EXACT, after, random

START = random(6, 4, seed=9)


def test_two_steps_worked_by_hand():
    # The signs of a diagonal matrix are their own polar factor: O = diag(+, -), then diag(+, +),
    # because m_2 = diag(0.5, -2) + diag(0.5, 4) and 0.5 m_2 + 0.5 g_2 = diag(1, 5).
    # v_1 = 0.5 O^2 = 0.5, of whose root O' is 1.414 O; of a root of the mean square of 0.5:
    # O'' = 0.5 sqrt(4) / sqrt(2) O = 0.707 O. v_2 = 0.75, and the same again.
    grads = [torch.diag(torch.tensor(x)).double() for x in ([2.0, -8.0], [1.0, 8.0])]
    zero = torch.zeros(2, 2, dtype=torch.float64)
    options = {"lr": 1.0, "momentum": 0.5, "rms": 0.5, **EXACT}
    first = -after(AdaMuon, grads[:1], zero, **options)
    assert torch.allclose(first, torch.diag(torch.tensor([1.0, -1.0])).double() / 2**0.5)
    both = -after(AdaMuon, grads, zero, **options)
    assert torch.allclose(both, torch.diag(torch.tensor([2.0, 0.0])).double() / 2**0.5)


def test_a_number_that_was_large_before_moves_less():
    # B_1 = 0.25 g_1 has the signs of O_1 = I, and v_1 = 0.25 I. B_2 = 0.75 I + 0.25 g_2 has those
    # of sqrt(2) O_2, so that v_2 is 0.75 * 0.25 + 0.25 / 2 on the diagonal, and 0.25 / 2 beside it.
    first, second = 4.0 * torch.eye(2).double(), torch.tensor([[0.0, 4.0], [-4.0, 0.0]]).double()
    zero = torch.zeros(2, 2, dtype=torch.float64)
    options = {"lr": 1.0, "momentum": 0.75, "nesterov": False, **EXACT}
    before, after_it = (after(AdaMuon, [first, second][:n], zero, **options) for n in (1, 2))
    moved = after_it - before
    assert (moved[0, 0] / moved[0, 1]).item() == pytest.approx((0.125 / 0.3125) ** 0.5)
    assert torch.allclose(moved[0, 0], moved[1, 1])


def test_a_step_has_the_size_that_is_asked_for():
    for shape in ((6, 4), (4, 9), (1, 7)):
        start = random(*shape)
        moved = after(AdaMuon, [random(*shape, seed=1)], start, lr=0.1, rms=0.3, **EXACT) - start
        assert moved.square().mean().sqrt().item() == pytest.approx(0.03)


def test_with_signs_the_scale_of_a_row_does_not_matter():
    grads = [random(6, 4, seed=seed) for seed in range(3)]
    scaled = [grad * torch.tensor([[4.0], [1], [2], [0.5], [1], [8]]) for grad in grads]
    assert torch.equal(after(AdaMuon, scaled, START), after(AdaMuon, grads, START))
    plain, other = (after(AdaMuon, along, START, sign=False) for along in (grads, scaled))
    assert not torch.allclose(plain, other)


def test_every_matrix_of_a_parameter_moves_as_it_does_alone():
    grads = [random(6, 4, seed=seed) for seed in range(3)]
    whole = after(AdaMuon, grads, START, matrices=Heads(3))
    for index, part in enumerate(whole.split(2)):
        along = [grad.split(2)[index] for grad in grads]
        assert torch.equal(part, after(AdaMuon, along, START.split(2)[index]))


def test_zeros_stand_still():
    zero = torch.zeros(6, 4, dtype=torch.float64)
    assert torch.equal(after(AdaMuon, [zero, zero], START, weight_decay=0.0), START)
