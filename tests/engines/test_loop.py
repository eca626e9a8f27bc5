"""The loop, which calls a rule that may do anything: gradients stay as they are, steps whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import schuss
from tests.conformance.strangers import Ruled

ENGINES: dict[str, dict[str, bool]] = {
    "loop": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}


def writing_into_matrices(state, group, grad, param):
    if param.dim() > 1:
        grad.mul_(2)
    param.sub_(grad)


def writing_late(state, group, grad, param):
    state["step"] += 1
    if state["step"] > 2:
        grad.mul_(2)
    param.sub_(grad)


def counting(state, param):
    state["step"] = 0


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("rule", "ends"), [(writing_into_matrices, [-4.0, -8.0]), (writing_late, [-6.0, -6.0])]
)
def test_a_rule_may_write_into_some_gradients_and_not_into_others(rule, ends, engine) -> None:
    params = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3, 2))]
    optimizer = Ruled(params, rule, counting, **ENGINES[engine])
    for _ in range(4):
        for param in params:
            param.grad = torch.ones_like(param)
        grads = [param.grad for param in params]
        optimizer.step()
        assert all(bool((grad == 1).all()) for grad in grads if grad is not None)
    assert [param.unique().tolist() for param in params] == [[end] for end in ends]


class Raising(schuss.Optimizer):
    """Raises for vectors, if an option says so, after it has moved matrices."""

    def init_state(self, state, group, param):
        state["mean"] = torch.zeros_like(param)

    def update(self, state, group, grad, param):
        float(grad.sum())  # which no program can express
        if param.dim() == 1 and group["raises"] > 1:
            raise ValueError("a vector")
        return state["mean"].add_(grad)


def made(raises: int, **options: Any) -> tuple[Raising, list[nn.Parameter]]:
    params = [nn.Parameter(torch.zeros(3, 2)), nn.Parameter(torch.zeros(3))]
    create: Any = Raising
    return create(params, {"lr": 1.0, "raises": raises}, **options), params


def step(optimizer: schuss.Optimizer, params: list[nn.Parameter]) -> None:
    for param in params:
        param.grad = torch.ones_like(param)
    optimizer.step()


def test_a_first_step_that_raises_midway_has_changed_nothing() -> None:
    optimizer, params = made(2, foreach=False)
    for _ in range(2):
        with pytest.raises(ValueError, match="a vector"):
            step(optimizer, params)
    assert all(not param.any() for param in params)
    assert not optimizer.state


def test_so_has_one_with_another_option() -> None:
    optimizer, params = made(1, foreach=False)
    step(optimizer, params)
    optimizer.param_groups[0]["raises"] = 2
    for _ in range(2):
        with pytest.raises(ValueError, match="a vector"):
            step(optimizer, params)
    assert [param.unique().tolist() for param in params] == [[-1.0], [-1.0]]
    assert [s["mean"].unique().tolist() for s in optimizer.state.values()] == [[1.0], [1.0]]
    optimizer.param_groups[0]["raises"] = 1
    step(optimizer, params)
    assert [param.unique().tolist() for param in params] == [[-3.0], [-3.0]]


def test_copies_are_made_in_the_step_after_a_change_alone(monkeypatch) -> None:
    from schuss.engines import states, turns

    optimizer, params = made(1, foreach=False)
    calls, whole = [], states.whole

    def counted(*arguments: Any) -> Any:
        calls.append(1)
        return whole(*arguments)

    monkeypatch.setattr(turns, "whole", counted)
    counts = []
    for raises in (1, 1, 1, 0, 0, 1, 1):
        optimizer.param_groups[0]["raises"] = raises
        optimizer.param_groups[0]["lr"] *= 0.5  # a number that may differ in each step
        step(optimizer, params)
        counts.append(len(calls))
    assert counts == [1, 1, 1, 2, 2, 2, 2]
