"""Numbers of the state that somebody puts there as tensors, as loaders do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss

ENGINES: dict[str, dict[str, Any]] = {
    "loop": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}


def stepped(name: str, options: dict[str, Any], *, in_tensors: bool) -> tuple[Tensor, list[type]]:
    """Take five steps, after two of which the numbers of the state become tensors."""
    weight = nn.Parameter(torch.linspace(-1, 1, 7))
    optimizer = schuss.create_optimizer(name, [weight], **options)
    for step in range(5):
        if step == 2 and in_tensors:
            state = optimizer.state[weight]
            for key, value in state.items():
                if isinstance(value, (int, float)):
                    state[key] = torch.tensor(value, dtype=torch.float64)
            del state
        weight.grad = torch.linspace(-1, 2, 7) * (step + 1)
        optimizer.step()
    return weight.detach(), [type(value) for value in optimizer.state[weight].values()]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["nadam", "adamwschedulefree", "ldog"])
def test_they_are_numbers_again_in_the_next_step(name: str, engine: str) -> None:
    expected, types = stepped(name, ENGINES[engine], in_tensors=False)
    weight, types_again = stepped(name, ENGINES[engine], in_tensors=True)
    assert torch.equal(weight, expected)
    assert types_again == types


def test_a_number_that_is_to_be_a_tensor_stays_one_and_is_asked_about_once() -> None:
    class Counted(schuss.LDoG):
        begun = 0

        def init_state(self, state: Any, group: Any, param: Tensor) -> None:
            self.begun += 1
            super().init_state(state, group, param)

    weight = nn.Parameter(torch.ones(3))
    optimizer = Counted([weight], foreach=False)
    begun = []
    for _ in range(4):
        weight.grad = torch.ones(3)
        optimizer.step()
        assert isinstance(optimizer.state[weight]["distance"], Tensor)
        begun.append(optimizer.begun)
    assert begun[0] == 1 < begun[1] == begun[2] == begun[3]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "count", ["x", None, [], -5, float("nan"), float("inf"), True, torch.ones(3)], ids=repr
)
def test_a_count_that_is_none_is_refused_before_anything_changes(count: Any, engine: str) -> None:
    weights = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))]
    optimizer = schuss.AdamW(weights, lr=0.1, **ENGINES[engine])
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    before = [weight.detach().clone() for weight in weights]
    optimizer.state[weights[1]]["step"] = count
    with pytest.raises(RuntimeError, match=r"^AdamW: the state 'step' .* \(3,\) is .*; it must be"):
        optimizer.step()
    assert all(map(torch.equal, weights, before))
    assert optimizer.state[weights[0]]["step"] == 1
    optimizer.state[weights[1]]["step"] = 1
    optimizer.step()
