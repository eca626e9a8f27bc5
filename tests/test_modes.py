"""Steps within modes of torch, which a training loop may have switched on for the model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss import EMA, SOAP, AdamW, GaLore, Optimizer, Prodigy, modes

MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference": torch.inference_mode,
    "device": lambda: torch.device("meta"),
}
MADE: dict[str, Callable[..., Optimizer]] = {
    "one kernel": lambda params, **options: AdamW(params, transforms=[EMA(0.9)], **options),
    "products": lambda params, **options: SOAP(params, precondition_frequency=1, **options),
    "projected": lambda params, **options: AdamW(params, transforms=[GaLore(2)], **options),
    "sums": lambda params, **options: Prodigy(params, d0=0.01, **options),
}


class Walk:
    """A matrix, and steps along gradients that are drawn."""

    def __init__(self, name: str, **options: Any) -> None:
        self.weight = nn.Parameter(torch.linspace(-1, 1, 24).reshape(4, 6))
        self.optimizer = MADE[name]([self.weight], **options)
        self._generator = torch.Generator().manual_seed(0)

    def take(self, steps: int, mode: Callable[[], AbstractContextManager[Any]]) -> Walk:
        for _ in range(steps):
            self.weight.grad = torch.randn(4, 6, generator=self._generator)
            with mode():
                self.optimizer.step()
        return self

    @property
    def place(self) -> Tensor:
        return self.weight.detach().clone()


@pytest.mark.parametrize("options", [{}, {"foreach": False}], ids=["kernel", "loop"])
@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("mode", MODES)
def test_a_step_within_a_mode_is_as_one_outside(mode: str, name: str, options: Any) -> None:
    walk = Walk(name, **options).take(3, MODES[mode]).take(2, torch.no_grad)
    expected = Walk(name, **options).take(5, torch.no_grad)
    assert torch.equal(walk.place, expected.place)
    kept = [x for x in walk.optimizer.state[walk.weight].values() if isinstance(x, Tensor)]
    assert kept
    assert not any(x.is_inference() for x in kept)


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("mode", MODES)
def test_checkpoints_and_weights_to_evaluate_with_are_those_of_outside(
    mode: str, name: str
) -> None:
    walk, again = Walk(name).take(3, torch.no_grad), Walk(name)
    with MODES[mode]():
        saved = copy.deepcopy(walk.optimizer.state_dict())
        again.optimizer.load_state_dict(saved)
    again.weight.data = walk.place
    assert saved["state"][0]["step"].device.type == "cpu"
    with walk.optimizer.evaluating():
        mean = walk.place
    with MODES[mode](), again.optimizer.evaluating():
        assert torch.equal(again.weight, mean)
    gradients = (torch.ones(4, 6), torch.eye(4, 6))
    for each in (walk, again):
        for grad in gradients:
            each.weight.grad = grad
            each.optimizer.step()
    assert torch.equal(walk.place, again.place)


def test_released_gradients_are_stepped_with_outside_of_autocast() -> None:
    ends = []
    for release in (False, True):
        weight = nn.Parameter(torch.linspace(-1, 1, 24).reshape(4, 6))
        optimizer = SOAP([weight], lr=0.1)
        for _ in range(3):
            loss = (weight * torch.linspace(1, 2, 24).reshape(4, 6)).square().sum()
            if release:
                with optimizer.releasing(), torch.autocast("cpu", torch.bfloat16):
                    loss.backward()
                    optimizer.step()
            else:
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        ends.append(weight.detach())
    assert torch.equal(*ends)


def test_a_closure_has_the_modes_of_the_caller() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = schuss.SGD([weight], lr=0.1)
    seen = []

    def closure() -> float:
        product = weight @ weight
        seen.append(product.dtype)
        product.float().sum().backward()
        return 0.0

    with torch.autocast("cpu", torch.bfloat16):
        optimizer.step(closure)
        assert (weight @ weight).dtype is torch.bfloat16  # the mode is on again
    assert seen == [torch.bfloat16]


def test_without_a_mode_nothing_is_left() -> None:
    assert not modes.are_on()
    for mode in MODES.values():
        with mode():
            assert modes.are_on()
