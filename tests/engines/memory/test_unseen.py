"""State that nobody can reach is not looked at in a step; as soon as somebody may, it is."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.engines.kernels.fused import CALM, FusedBatch
from tests.conformance.strangers import Ruled

STEPS = 4
"""More than it takes until a step only remembers what the one before has found."""


def step(optimizer: schuss.Optimizer, count: int = STEPS) -> None:
    for _ in range(count):
        for group in optimizer.param_groups:
            for param in group["params"]:
                param.grad = torch.ones_like(param)
        optimizer.step()


def created(**options: Any) -> tuple[schuss.Optimizer, list[nn.Parameter]]:
    params = [nn.Parameter(torch.ones(n)) for n in (3, 2)]
    return schuss.AdamW(params, lr=0.1, **options), params


def unseen(optimizer: schuss.Optimizer) -> list[int]:
    """Return the sizes of the tensors of states that steps do not look at."""
    (known,) = optimizer._engine._known
    assert isinstance(known.bound, FusedBatch)
    return sorted(map(len, known.bound._gradients.unseen))


def test_the_state_is_not_looked_at_while_nobody_has_it() -> None:
    optimizer, _ = created(fused=True)
    step(optimizer)
    assert unseen(optimizer) == [2, 2, 3, 3]


def test_what_somebody_holds_is_looked_at() -> None:
    optimizer, params = created(fused=True)
    step(optimizer)
    held = optimizer.state[params[0]]["exp_avg"]
    weak = weakref.ref(optimizer.state[params[1]]["exp_avg_sq"])
    step(optimizer)
    assert unseen(optimizer) == []  # whoever has read the state may do so again
    step(optimizer, CALM + STEPS)
    assert unseen(optimizer) == [2, 3]
    assert held is optimizer.state[params[0]]["exp_avg"]
    assert weak() is optimizer.state[params[1]]["exp_avg_sq"]
    del held
    step(optimizer, CALM + STEPS)
    assert unseen(optimizer) == [2, 3, 3]


def set_elsewhere(state: Tensor) -> None:
    state.set_(state.clone())  # type: ignore[call-overload]  # torch's stub lacks it


def moved(state: Tensor) -> None:
    state.data = state.data * 2


def moved_by_an_alias(state: Tensor) -> None:
    numbers, storage = state.clone(), state.untyped_storage()
    storage.resize_(0)
    storage.resize_(12)
    state.copy_(3 * numbers)


CHANGES: list[Callable[[Tensor], None]] = [set_elsewhere, moved, moved_by_an_alias]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_state_that_was_taken_early_may_be_changed_late(change: Callable[[Tensor], None]) -> None:
    ends = []
    for engine in ({"fused": True}, {"foreach": False}):
        optimizer, params = created(**engine)
        step(optimizer)
        held = optimizer.state[params[0]]["exp_avg"]
        step(optimizer)
        change(held)
        step(optimizer)
        ends.append(torch.stack([params[0].detach(), held]))
        assert held is optimizer.state[params[0]]["exp_avg"]
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-7)


def versions(state: dict[str, Any]) -> list[int]:
    return [value._version for value in state.values() if isinstance(value, Tensor)]


@pytest.mark.parametrize("engine", [{"fused": True}, {"foreach": False}])
def test_versions_of_state_are_raised_before_somebody_looks(engine: dict[str, bool]) -> None:
    optimizer, params = created(**engine)
    step(optimizer)
    raised = []
    for count in (1, 10):  # the first step is one with everything looked at
        before = versions(optimizer.state[params[0]])
        step(optimizer, count)
        now = versions(optimizer.state[params[0]])
        raised.append([new - old for new, old in zip(now, before, strict=True)])
    assert all(0 < first < all_ for first, all_ in zip(*raised, strict=True))


def multiplying_late(state: Any, group: Any, grad: Tensor, param: Tensor) -> None:
    """Keep a momentum, which from the sixth step on is multiplied by a matrix."""
    state["step"] += 1
    m = state["m"].lerp_(grad, 0.5)
    param.sub_(m @ m.mT @ m if state["step"] > 5 else m, alpha=0.1)


def begun(state: Any, param: Tensor) -> None:
    state["step"], state["m"] = 0, torch.zeros_like(param)


def test_state_that_functions_are_given_is_looked_at() -> None:
    ends = []
    for engine in ({"fused": True}, {"foreach": False}):
        params = [nn.Parameter(torch.ones(2, 2)) for _ in range(2)]
        optimizer = Ruled(params, multiplying_late, begun, **engine)
        step(optimizer, 5)
        if engine == {"fused": True}:
            assert unseen(optimizer) == [2, 2]
        step(optimizer, 3)
        if engine == {"fused": True}:
            assert unseen(optimizer) == []
        before = versions(optimizer.state[params[0]])
        step(optimizer, 3)
        (raised,) = (
            new - old for new, old in zip(versions(optimizer.state[params[0]]), before, strict=True)
        )
        assert raised >= 3
        ends.append(torch.cat([params[0].detach(), optimizer.state[params[0]]["m"]]))
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-7)


class Keeping(schuss.SGD):
    """Measures on the loop, by a branch on a tensor, and keeps what it sees of the state."""

    traced_once = True

    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, momentum=0.5, **options)
        self.measured_state: list[Tensor] = []
        self.is_measuring = False

    def measurements(self, after: int = 0) -> list[Any]:
        return [self.look] if self.is_measuring else []

    def look(self, state: Any, group: Any, grad: Tensor, param: Tensor) -> dict[str, Tensor]:
        if float(grad.sum()) > 0:
            self.measured_state = [state["momentum_buffer"]]
        return {"seen": grad.sum()}


@pytest.mark.filterwarnings("ignore:Keeping cannot run")
def test_what_a_measurement_keeps_may_be_changed_late() -> None:
    ends = []
    for engine in ({}, {"foreach": False}):
        param = nn.Parameter(torch.ones(3))
        optimizer = Keeping([param], lr=0.1, **engine)
        for _ in range(4):  # until steps are repeated
            step(optimizer)
        optimizer.is_measuring = True
        step(optimizer, 1)
        optimizer.is_measuring = False
        step(optimizer)
        (held,) = optimizer.measured_state
        set_elsewhere(held)
        held.mul_(2)
        step(optimizer)
        ends.append(torch.stack([param.detach(), held]))
        assert held is optimizer.state[param]["momentum_buffer"]
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-7)
