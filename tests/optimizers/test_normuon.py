from __future__ import annotations

import pytest
import torch

from schuss import Muon, NorMuon
from schuss.matrices import Heads, Split
from tests.optimizers.orthogonal import EXACT, after, polar, random

START = random(6, 4, seed=9)


def test_two_steps_worked_by_hand():
    # Columns that are orthogonal: O = g / 5 and, for 2 g, the same. Its rows have norms of 3/5 and
    # 4/5 in one column, and of 1 in the other; mean squares of 0.18, 0.32, 0.5.
    # v_1 = 0.25 times these, so that O' has rows of norm sqrt(2) / 0.5, and O'' of sqrt(2/3).
    # v_2 = (0.75 + 0.25 * 0.75) / 0.75 times v_1, with the same proportions: the same direction.
    grad = torch.tensor([[3.0, 0.0], [4.0, 0.0], [0.0, 5.0]], dtype=torch.float64)
    zero = torch.zeros(3, 2, dtype=torch.float64)
    options = {"lr": 1.0, "momentum": 0.5, "beta2": 0.75, "adjust_lr_fn": "none", **EXACT}
    expected = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).double() * (2 / 3) ** 0.5
    assert torch.allclose(-after(NorMuon, [grad], zero, **options), expected)
    assert torch.allclose(-after(NorMuon, [grad, grad * 2], zero, **options), 2 * expected)


def test_the_first_step_has_rows_of_one_size_and_the_norm_of_muon():
    grad = random(6, 4)
    step = after(NorMuon, [grad], START, **EXACT) - START
    of_muon = after(Muon, [grad], START, lr=2e-2, **EXACT) - START
    norms = step.norm(dim=1)
    assert torch.allclose(norms, norms.mean())
    assert torch.allclose(step.norm(), of_muon.norm())
    assert torch.allclose(
        step / step.norm(dim=1, keepdim=True), -polar(grad) / polar(grad).norm(dim=1, keepdim=True)
    )


def test_with_a_memory_that_never_forgets_the_first_proportions_stay():
    grads = [random(6, 4, seed=seed) for seed in range(2)]
    long, short = (after(NorMuon, grads, START, beta2=beta2, **EXACT) for beta2 in (0.9999, 0.0))
    last = short - after(NorMuon, grads[:1], START, beta2=0.0, **EXACT)
    assert torch.allclose(last.norm(dim=1), last.norm(dim=1).mean())
    last = long - after(NorMuon, grads[:1], START, beta2=0.9999, **EXACT)
    assert last.norm(dim=1).std() > 1e-4


def test_turning_the_inputs_turns_the_path():
    turn = torch.linalg.qr(random(4, 4)).Q
    grads = [random(6, 4, seed=seed) for seed in range(3)]
    expected = after(NorMuon, grads, START, **EXACT) @ turn
    assert torch.allclose(
        after(NorMuon, [g @ turn for g in grads], START @ turn, **EXACT), expected
    )


@pytest.mark.parametrize(
    ("matrices", "shape", "sizes"),
    [(Heads(3), (6, 4), [2, 2, 2]), (Split(3, 2, 1), (6, 4), [3, 2, 1]), ("batch", (3, 6, 4), 1)],
    ids=["heads", "blocks", "batch"],
)
def test_every_matrix_of_a_parameter_moves_as_it_does_alone(matrices, shape, sizes):
    start, grads = random(*shape, seed=9), [random(*shape, seed=seed) for seed in range(3)]
    whole = after(NorMuon, grads, start, matrices=matrices, **EXACT)
    for part, begin, *along in zip(*(x.split(sizes) for x in (whole, start, *grads)), strict=True):
        alone = after(
            NorMuon, [grad.flatten(0, -2) for grad in along], begin.flatten(0, -2), **EXACT
        )
        torch.testing.assert_close(part.flatten(0, -2), alone, rtol=1e-12, atol=1e-12)


def test_zeros_stand_still():
    zero = torch.zeros(6, 4, dtype=torch.float64)
    assert torch.equal(after(NorMuon, [zero, zero], START), START)
    row = random(6, 4)
    row[2] = 0
    moved = after(NorMuon, [row], START)
    assert moved.isfinite().all()
    assert torch.equal(moved[2], START[2])
