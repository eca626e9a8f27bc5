from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

import schuss
from schuss import Sophia
from tests.optimizers.paths import GRADS, START, ends, walk


def stepped(param: nn.Parameter, optimizer: Sophia, grad: float) -> float:
    param.grad = torch.full_like(param, grad)
    optimizer.step()
    return param.item()


def make(**options: object) -> tuple[nn.Parameter, Sophia]:
    param = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    return param, Sophia([param], lr=0.5, betas=(0.5, 0.75), rho=0.5, **options)


def test_two_steps_worked_by_hand():
    param, optimizer = make()
    param.grad = torch.full_like(param, 2.0)
    # h = 0.25 * 8 * 4 = 8, rho h = 4
    optimizer.update_hessian(8)
    assert optimizer.state[param]["hessian"].item() == 8.0
    # m = 0.5 * 2 = 1: 1 / 4
    assert stepped(param, optimizer, 2.0) == -0.125
    # m = 0.5 + 0.5 * 12 = 6.5: 6.5 / 4, clipped to 1
    assert stepped(param, optimizer, 12.0) == -0.625


def test_the_curvature_is_an_average():
    param, optimizer = make()
    for grad, expected in ((2.0, 8.0), (0.0, 6.0)):
        param.grad = torch.full_like(param, grad)
        optimizer.update_hessian(8)
        assert optimizer.state[param]["hessian"].item() == expected
    assert param.item() == 0.0


def test_before_the_first_curvature_it_takes_sign_steps():
    path = walk(Sophia, [[3.0, -0.001, 7.0]], START, lr=0.25)
    assert path == [[0.75, -1.75, 0.25]]


def test_the_stabilizer_bounds_what_is_divided_by_not_the_curvature():
    param, optimizer = make(eps=1.0)
    # m = 0.5 * 0.5 = 0.25, over the larger of 0.5 * 0 and 1
    assert stepped(param, optimizer, 0.5) == -0.125


def test_no_coordinate_moves_by_more_than_the_learning_rate():
    path = walk(Sophia, GRADS, START, lr=0.25)
    moves = [abs(b - a) for p, q in pairwise(path) for a, b in zip(p, q, strict=True)]
    assert max(moves) <= 0.25 + 1e-15


def test_the_form_of_labml_adds_the_stabilizer():
    param, optimizer = make(add_eps=True, eps=2.0)
    param.grad = torch.full_like(param, 2.0)
    optimizer.update_hessian(8)
    # 1 / (0.5 * (8 + 2)) = 0.2
    assert stepped(param, optimizer, 2.0) == -0.1


def test_a_large_curvature_makes_it_newtons_method_with_momentum_zero():
    # On h theta^2 / 2 with rho = 1, beta1 = 0 and exact curvature the step is lr theta.
    param = nn.Parameter(torch.tensor([3.0], dtype=torch.float64))
    optimizer = Sophia([param], lr=1.0, betas=(0.0, 0.0), rho=1.0)
    param.grad = torch.tensor([10.0], dtype=torch.float64)
    optimizer.update_hessian(1)  # h = 100
    param.grad = 100.0 * param.detach() / 3
    optimizer.step()
    assert param.item() == 2.0


@pytest.mark.parametrize("count", [0, -1])
def test_a_batch_of_nothing_is_refused(count):
    _, optimizer = make()
    with pytest.raises(ValueError, match=f"n_tokens_training_batch value: {count}; .* above 0"):
        optimizer.update_hessian(count)


@pytest.mark.parametrize("option", [{"eps": 0.0}, {"add_eps": True}], ids=str)
def test_a_rho_of_zero_needs_something_else_to_divide_by(option):
    # m / max(0 h, 1) is 0.1 after the first step.
    assert ends(Sophia, [[1.0]], [3.0], lr=1.0, rho=0.0, eps=1.0) == pytest.approx([2.9])
    with pytest.raises(ValueError, match="Invalid rho value: 0; rho must be above 0 if add_eps"):
        ends(Sophia, GRADS, START, rho=0, **option)


def test_the_curvature_of_half_precision_with_a_master_is_kept_in_float32():
    param = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    optimizer = Sophia([param], master_weights=True)
    param.grad = torch.full_like(param, 1e-3)
    optimizer.update_hessian(4)
    hessian = optimizer.state[param]["hessian"]
    assert hessian.dtype is torch.float32
    # (1 - 0.95) * 4 * 1e-6, with 1e-3 in bfloat16
    torch.testing.assert_close(hessian, 0.2 * param.grad.float() ** 2)


def test_sparse_gradients_are_refused():
    embedding = nn.Embedding(3, 2, sparse=True)
    embedding(torch.tensor([0])).sum().backward()
    optimizer = schuss.Sophia(embedding.parameters())
    with pytest.raises(RuntimeError, match="sparse"):
        optimizer.update_hessian(1)


def test_it_learns_from_labels_that_the_model_draws():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 5, generator=generator)
    y = (x[:, 0] + x[:, 1] > 0).long()
    model = nn.Linear(5, 2)
    with torch.no_grad():
        for param in model.parameters():
            param.zero_()
    optimizer = Sophia(model.parameters(), lr=0.02)
    for step in range(200):
        if step % 10 == 0:
            logits = model(x)
            drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(-1)
            nn.functional.cross_entropy(logits, drawn).backward()
            optimizer.update_hessian(len(x))
            optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert (model(x).argmax(-1) == y).float().mean() > 0.97
