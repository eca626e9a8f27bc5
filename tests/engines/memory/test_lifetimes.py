"""Memory that a kernel works on stays until it has ended, whoever lets it go meanwhile."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

import schuss
from tests.conformance.strangers import Ruled
from tests.engines.memory.guarded import Memory

SIZE, STEPS = 400_000, 60


def step_with_a_rule_that_drops(engine: dict[str, bool]) -> list[float]:
    memory = Memory(at_end=True)
    param = nn.Parameter(memory.holding(torch.ones(5)))

    def rule(state, group, grad, weight):
        param.grad = None
        weight.sub_(grad, alpha=0.25)

    optimizer = Ruled([param], rule, **engine)
    for _ in range(5):
        param.grad = memory.holding(torch.full((5,), 2.0))
        optimizer.step()
    values: list[float] = param.tolist()
    return values


@pytest.mark.parametrize("engine", [{"fused": True}, {"foreach": True}, {"foreach": False}])
def test_a_rule_may_drop_the_gradient_that_it_is_given(engine, child):
    # 1 - 5 * 0.25 * 2 = -1.5
    assert child.call(step_with_a_rule_that_drops, engine) == [-1.5] * 5


def step_while_gradients_change() -> tuple[int, int]:
    """Return how many different weights there are after the steps, and the number of gradients."""
    memory = Memory(at_end=True)
    param = nn.Parameter(memory.holding(torch.zeros(SIZE)))
    optimizer = schuss.SGD([param], lr=1.0, fused=True)
    ones, ended, count = torch.ones(SIZE), threading.Event(), 0

    def change() -> None:
        nonlocal count
        while not ended.is_set():
            param.grad = memory.holding(ones)
            count += 1
            param.grad = None

    other = threading.Thread(target=change)
    param.grad = memory.holding(ones)
    optimizer.step()
    other.start()
    try:
        for _ in range(STEPS):
            optimizer.step()
    finally:
        ended.set()
        other.join()
    return len(param.unique()), count


def test_another_thread_may_replace_gradients_during_a_step(child):
    different, count = child.call(step_while_gradients_change)
    assert different == 1  # each step was taken by all weights or by none
    assert count > 0
