"""Parts that use an estimate of the Hessian's diagonal."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from schuss import AdaHessian, AdamW, Composite, Sophia, SophiaH
from schuss.composite import everything, ndim

ROUTE = [("matrices", ndim == 2), ("rest", everything)]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def loss_of(model: nn.Module, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(16, 5, generator=generator, dtype=torch.float64)
    loss: Tensor = cross_entropy(model(x), torch.randint(3, (16,), generator=generator))
    return loss


def apart(model: nn.Module, kind: Any, engine: Any) -> list[Any]:
    """Return an optimizer of the matrices and one of the rest, without a composite."""
    params = list(model.parameters())
    of = [[p for p in params if (p.dim() == 2) == wanted] for wanted in (True, False)]
    return [kind(of[0], lr=0.05, **engine), AdamW(of[1], lr=0.05, **engine)]


def equal(one: nn.Module, other: nn.Module) -> None:
    for x, y in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("engine", [{}, {"foreach": False}], ids=["fused", "loop"])
@pytest.mark.parametrize("kind", [AdaHessian, SophiaH, Sophia])
def test_a_part_takes_the_estimates_of_its_own_parameters(kind, engine):
    ours, theirs = network(), network()
    parts: Any = {"matrices": kind(lr=0.05), "rest": AdamW(lr=0.05)}
    composite = Composite(ours, route=ROUTE, **engine, **parts)
    matrices, rest = apart(theirs, kind, engine)
    for step in range(4):
        if kind is Sophia:
            loss_of(ours, step + 10).backward()
            loss_of(theirs, step + 10).backward()
            composite.update_hessian(16)
            matrices.update_hessian(16)
            composite.zero_grad()
            theirs.zero_grad()
        for model, optimizer in ((ours, composite), (theirs, matrices)):
            loss = loss_of(model, step)
            if kind is not Sophia:
                torch.manual_seed(step)
                optimizer.estimate_hessian(loss)
            model.zero_grad()
            loss.backward()
        composite.step()
        matrices.step()
        rest.step()
        equal(ours, theirs)
    [weight, bias, *_] = ours.parameters()
    assert "hessian" in composite.state[weight]
    assert "hessian" not in composite.state[bias]


def test_two_parts_take_one_estimate_and_gradients_stay_as_they_are():
    model = network()
    parts: Any = {"matrices": AdaHessian(), "rest": SophiaH()}
    composite = Composite(model, route=ROUTE, **parts)
    params = [param for group in composite.param_groups for param in group["params"]]
    loss_of(model, 0).backward()
    grads = [param.grad for param in params]
    composite.set_hessian([torch.full_like(param, 2.0) for param in params])
    for param, grad in zip(params, grads, strict=True):
        assert param.grad is grad
        expected = 2.0 if param.dim() == 2 else 0.02
        torch.testing.assert_close(
            composite.state[param]["hessian"], torch.full_like(param, expected)
        )


def test_estimates_for_parts_that_take_none_are_not_used():
    model = network()
    parts: Any = {"matrices": AdaHessian(), "rest": AdamW()}
    composite = Composite(model, route=ROUTE, **parts)
    params = [param for group in composite.param_groups for param in group["params"]]
    composite.set_hessian([torch.ones_like(param) for param in params])
    assert {param.dim() for param in params if composite.state[param]} == {2}


def test_a_call_that_no_part_needs_is_refused():
    model = network()
    parts: Any = {"matrices": AdaHessian(), "rest": AdamW()}
    composite = Composite(model, route=ROUTE, **parts)
    with pytest.raises(RuntimeError, match="update_hessian was called, but no part of Composite"):
        composite.update_hessian(4)
    parts = {"matrices": AdamW(), "rest": AdamW()}
    plain = Composite(network(), route=ROUTE, **parts)
    with pytest.raises(RuntimeError, match="set_hessian was called, but no part of Composite"):
        plain.set_hessian([None] * 4)
