from __future__ import annotations

import pytest
import torch

from schuss import Muon, Scion
from schuss.matrices import Dims, Heads
from tests.optimizers.orthogonal import EXACT, after, polar, random

START = random(6, 4, seed=9)
ZERO = torch.zeros(2, 2, dtype=torch.float64)
GRAD = torch.tensor([[3.0, 0.0], [4.0, -5.0]]).double()


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        # sign / 2; rows of norm 3 and sqrt(41) over sqrt(2) times these; sqrt(2) times columns of
        # norm 5.
        ("sign", [[0.5, 0.0], [0.5, -0.5]]),
        ("row", [[0.5**0.5, 0.0], [4 / 82**0.5, -5 / 82**0.5]]),
        ("col", [[0.6 * 2**0.5, 0.0], [0.8 * 2**0.5, -(2**0.5)]]),
    ],
)
def test_a_step_worked_by_hand(norm, expected):
    step = -after(Scion, [GRAD], ZERO, lr=0.5, scale=4.0, norm=norm)
    assert torch.allclose(step, torch.tensor(expected).double() * 2)


@pytest.mark.parametrize(("rows", "cols"), [(1, 4), (4, 1), (2, 8)])
def test_outputs_change_by_as_much_however_many_inputs_there_are(rows, cols):
    grad = torch.ones(rows, cols, dtype=torch.float64)
    start = torch.zeros(rows, cols, dtype=torch.float64)
    step = -after(Scion, [grad], start, lr=0.5, norm="sign")
    assert torch.allclose(step.sum(1), torch.full((rows,), 0.5, dtype=torch.float64))


def test_two_spectral_steps_worked_by_hand():
    # m_1 = 0.25 diag(4, -8) = diag(1, -2): + and -. m_2 = diag(0.75, -1.5) + diag(-1, -1): -, -.
    # The weights are halved before the second step.
    grads = [torch.diag(torch.tensor(x)).double() for x in ([4.0, -8.0], [-4.0, -4.0])]
    options = {**EXACT, "lr": 0.5, "momentum": 0.25, "weight_decay": 1.0, "scale": 2.0}
    assert torch.allclose(
        -after(Scion, grads[:1], ZERO, **options), torch.tensor([1.0, -1.0]).double().diag()
    )
    assert torch.allclose(
        -after(Scion, grads, ZERO, **options), torch.tensor([-0.5, -1.5]).double().diag()
    )


def test_the_weights_remain_in_the_ball():
    start = polar(START) * (6 / 4) ** 0.5 * 3.0
    grads = [random(6, 4, seed=seed) for seed in range(20)]
    options = {**EXACT, "weight_decay": 1.0, "lr": 0.2, "scale": 3.0}
    end = after(Scion, grads, start, **options)
    assert torch.linalg.matrix_norm(end, ord=2) <= 3.0 * (6 / 4) ** 0.5 + 1e-9
    free = after(Scion, grads, start, **{**options, "weight_decay": 0.0})
    assert torch.linalg.matrix_norm(free, ord=2) > 3.0 * (6 / 4) ** 0.5


def test_unconstrained_it_is_muon_of_the_spectral_scale():
    grads = [random(6, 4, seed=seed) for seed in range(4)]
    found = after(Scion, grads, START, lr=0.1, momentum=0.1, **EXACT)
    expected = after(
        Muon, grads, START, lr=0.1, momentum=0.9, nesterov=False, adjust_lr_fn="spectral", **EXACT
    )
    assert torch.allclose(found, expected)


@pytest.mark.parametrize("norm", ["spectral", "sign", "row", "col"])
def test_the_path_ignores_the_scale_of_the_gradients_but_for_eps(norm):
    grads = [random(6, 4, seed=seed) for seed in range(3)]
    scaled = after(Scion, [grad * 2.0**20 for grad in grads], START, norm=norm)
    assert torch.allclose(scaled, after(Scion, grads, START, norm=norm))


@pytest.mark.parametrize("norm", ["spectral", "sign", "row", "col"])
def test_every_matrix_of_a_parameter_moves_as_it_does_alone(norm):
    grads = [random(6, 4, seed=seed) for seed in range(3)]
    whole = after(Scion, grads, START, matrices=Heads(3), norm=norm)
    for index, part in enumerate(whole.split(2)):
        along = [grad.split(2)[index] for grad in grads]
        alone = after(Scion, along, START.split(2)[index], norm=norm)
        assert torch.allclose(part, alone, rtol=1e-12)
    dims = Dims(rows=(1,), cols=(0,))
    turned = after(Scion, [grad.mT for grad in grads], START.mT, norm=norm)
    found = after(Scion, grads, START, matrices=dims, norm=norm)
    assert torch.allclose(found, turned.mT, rtol=1e-2)  # of bfloat16
