"""Options are switched on and off between steps: the step works, or raises with nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss import transforms
from tests.algorithms import TRACED
from tests.conformance.trajectories import in_little_time

ENGINES = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
# What a step is run with, what an optimizer itself writes, and heads that not all shapes have.
NOT_OF_THE_RULE = {
    *("params", "lr", "weight_decay", "foreach", "fused", "differentiable", "capturable"),
    *("master_weights", "rounding", "k", "numerator", "accumulated_calls", "skipped_steps"),
    "qk_heads",
}
OTHERWISE: dict[object, tuple[Any, ...]] = {None: (0.5, 2), False: (True,), True: (False,)}
OTHERWISE |= {"row": ("element", "tensor")}
CREATORS: dict[str, Callable[..., schuss.Optimizer]] = {
    name: schuss.list_optimizers(name)[0].cls for name in TRACED
}


def transformed(name: str) -> Callable[..., schuss.Optimizer]:
    arguments = (2,) if name == "Accumulate" else ()
    transform = getattr(schuss, name)(*arguments)
    return lambda params, **on: schuss.AdamW(params, transforms=[transform], **on)


# What it draws is another number on every engine.
CREATORS |= {name: transformed(name) for name in set(transforms._MODULES) - {"GradientNoise"}}


def others(key: str, value: object) -> tuple[Any, ...]:
    """Return what an option may be switched to: on where it is off, and off where it is on."""
    if isinstance(value, bool) or value is None or value == "row":
        return OTHERWISE[value]
    if value == 0:
        return (0.5,)
    return (0.0,) if key == "momentum" else ()


def switches() -> list[Any]:
    found = []
    for name, create in sorted(CREATORS.items()):
        optimizer = create([nn.Parameter(torch.ones(2, 2))])
        group = optimizer.param_groups[0]
        for key in sorted(group.keys() - NOT_OF_THE_RULE):
            for value in others(key, group[key]):
                try:
                    optimizer.check_group({**group, key: value})
                except (ValueError, TypeError):
                    continue
                found.append((name, key, group[key], value))
    return found


def remembered(optimizer: schuss.Optimizer) -> dict[Any, Any]:
    """Return the parameters and a copy of their state."""
    found: dict[Any, Any] = {}
    for number, param in enumerate(optimizer.param_groups[0]["params"]):
        found[number] = param.detach().clone()
        for key, value in optimizer.state[param].items():
            found[number, key] = value.clone() if isinstance(value, Tensor) else value
    return found


def assert_alike(found: dict[Any, Any], expected: dict[Any, Any], **tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if isinstance(value, (Tensor, float)):
            torch.testing.assert_close(found[key], value, **tolerance)


def switched(name: str, key: str, values: tuple[Any, Any], engine: str) -> dict[Any, Any] | None:
    """Return where an optimizer is after two steps with each of two values, and again.

    None if a step was refused; then nothing has changed.
    """
    torch.manual_seed(0)
    params = [nn.Parameter(torch.randn(shape)) for shape in ((4, 3), (7,))]
    optimizer = CREATORS[name](params, **ENGINES[engine])

    def closure() -> float:
        for param in params:
            param.grad = (param.detach() * 3 + 1).cos()
        return 0.0

    for value in (*values, *values):
        optimizer.param_groups[0][key] = value
        for _ in range(2):
            closure()
            before = remembered(optimizer)
            try:
                optimizer.step(closure)
            except RuntimeError:
                assert_alike(remembered(optimizer), before, rtol=0, atol=0)
                return None
    return remembered(optimizer)


@pytest.mark.parametrize(("name", "key", "usual", "other"), switches())
def test_an_option_may_be_switched_on_and_off(name, key, usual, other):
    for values in ((usual, other), (other, usual)):
        expected = switched(name, key, values, "loop")
        assert expected is not None
        found = switched(name, key, values, "foreach")
        # Only blocks of another kind, whose moments have another shape, may need the loop once.
        assert found is not None or key == "blocks"
        if found is not None:
            assert_alike(found, expected, rtol=1e-4, atol=1e-5)


NEEDING_STATE = [
    ("adafactor", "beta1", None, 0.5),
    ("amsgrad", "amsgrad", True, False),
    ("mars", "optimize_1d", False, True),
    ("rmsprop", "centered", False, True),
    ("rmsprop", "momentum", 0.0, 0.5),
    ("sgd", "momentum", 0.0, 0.5),
    ("sm3", "momentum", 0.0, 0.5),
]


@pytest.mark.parametrize(("name", "key", "off", "on"), NEEDING_STATE)
def test_state_that_an_option_needs_is_made_in_kernels_too(name, key, off, on):
    expected = switched(name, key, (off, on), "loop")
    with in_little_time(name):
        found = switched(name, key, (off, on), "fused")
    assert expected is not None
    assert found is not None
    assert_alike(found, expected, rtol=1e-4, atol=1e-5)
