from __future__ import annotations

import pytest
import torch
from torch import nn

from schuss import SOAP, Adam
from schuss.matrices import Heads, Split
from tests.optimizers.orthogonal import after, random

pytestmark = pytest.mark.usefixtures("without_compiler")

PLAIN = {"weight_decay": 0.0, "lr": 0.1}
SQUARE = random(4, 4, seed=9)


def test_the_second_step_worked_by_hand():
    # The first gradient, diag(3, 1), has the axes for eigenvectors, in this order; no step is made.
    # In the second m = 0.5 g and v = 0.25 g^2: 0.5 g / (0.5 |g|) is the sign, and so is the whole
    # after the correction, sqrt(0.75 / 0.25)... of beta_2 = 0.75: sqrt(0.25) / 0.5 = 1.
    grads = [torch.diag(torch.tensor(x)).double() for x in ([3.0, 1.0], [-2.0, 8.0])]
    zero = torch.zeros(2, 2, dtype=torch.float64)
    options = {"betas": (0.5, 0.75), "eps": 0.0, **PLAIN}
    assert torch.equal(after(SOAP, grads[:1], zero, **options), zero)
    grads[1] += torch.tensor([[0.0, 4.0], [-4.0, 0.0]])
    expected = torch.tensor([[1.0, -1.0], [1.0, -1.0]]).double() * 0.1
    assert torch.allclose(after(SOAP, grads, zero, **options), expected)


def test_without_sides_it_is_adam_one_step_late():
    grads = [random(4, 4, seed=seed) for seed in range(6)]
    found = after(SOAP, grads, SQUARE, max_dim=1, **PLAIN)

    # Of Adam with the correction outside of eps, which nothing is here.
    expected = after(Adam, grads[1:], SQUARE, betas=(0.95, 0.95), eps=0.0, **PLAIN)
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_rotation_of_the_outputs_or_of_the_inputs_rotates_the_path():
    left, right = (torch.linalg.qr(random(4, 4, seed=n)).Q for n in (5, 7))
    grads = [random(4, 4, seed=seed) for seed in range(8)]
    options = {"precondition_frequency": 2, **PLAIN}
    expected = left @ after(SOAP, grads, SQUARE, **options) @ right
    rotated = [left @ grad @ right for grad in grads]
    assert torch.allclose(after(SOAP, rotated, left @ SQUARE @ right, **options), expected)
    adam = after(SOAP, rotated, left @ SQUARE @ right, max_dim=1, **options)
    assert not torch.allclose(adam, left @ after(SOAP, grads, SQUARE, max_dim=1, **options) @ right)


def test_a_side_that_is_too_long_has_no_basis():
    param = nn.Parameter(random(3, 5))
    optimizer = SOAP([param], max_dim=4)
    param.grad = random(3, 5)
    optimizer.step()
    kept = {
        key: tuple(value.shape) for key, value in optimizer.state[param].items() if key != "step"
    }
    assert kept == {
        "exp_avg": (3, 5),
        "exp_avg_sq": (3, 5),
        "left": (1, 3, 3),
        "left_basis": (1, 3, 3),
    }


def test_the_basis_changes_as_often_as_it_is_asked_for():
    param = nn.Parameter(SQUARE.clone())
    optimizer = SOAP([param], precondition_frequency=3)
    changed, before = [], None
    for step in range(1, 9):
        param.grad = random(4, 4, seed=step)
        optimizer.step()
        basis = optimizer.state[param]["left_basis"].clone()
        assert torch.allclose(basis.mT @ basis, torch.eye(4).double())
        if before is None or not torch.equal(basis, before):
            changed.append(step)
        before = basis
    assert changed == [1, 4, 7]


@pytest.mark.parametrize(
    ("matrices", "shape", "sizes"),
    [(Heads(2), (6, 4), 3), (Split(3, 2, 1), (6, 4), [3, 2, 1]), ("batch", (3, 4, 4), 1)],
    ids=["heads", "blocks", "batch"],
)
def test_every_matrix_of_a_parameter_moves_as_it_does_alone(matrices, shape, sizes):
    start, grads = random(*shape, seed=9), [random(*shape, seed=seed) for seed in range(5)]
    options = {"precondition_frequency": 2}
    whole = after(SOAP, grads, start, matrices=matrices, **options)
    for part, begin, *along in zip(*(x.split(sizes) for x in (whole, start, *grads)), strict=True):
        flat = [grad.flatten(0, -2) for grad in along]
        alone = after(SOAP, flat, begin.flatten(0, -2), **options)
        assert torch.allclose(part.flatten(0, -2), alone, rtol=1e-10)


def test_zeros_stand_still():
    zero = torch.zeros(4, 4, dtype=torch.float64)
    assert torch.equal(after(SOAP, [zero] * 3, SQUARE, precondition_frequency=1, **PLAIN), SQUARE)


def test_the_first_sides_are_rounded_as_in_the_code_of_the_authors():
    """The eigenvectors of the 260 zeros of the left side depend on how each of these is rounded."""
    grad = random(300, 40, seed=3)
    param = nn.Parameter(random(300, 40))
    optimizer = SOAP([param], betas=(0.9, 0.93))
    param.grad = grad
    optimizer.step()
    for key, product in (("left", grad @ grad.mT), ("right", grad.mT @ grad)):
        expected = torch.zeros_like(product).lerp_(product, 1 - 0.93)
        assert torch.equal(optimizer.state[param][key][0], expected)
