"""Parameters of few numbers, or of none, take the path of the loop with everything.

Their kernels are interpreted. The guarded sweep compiles one of each optimizer for such parameters.
"""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss import transforms
from tests.algorithms import TRACED
from tests.conformance.trajectories import ON
from tests.covers import EXHAUSTIVE
from tests.engines.kernels.interpreted import kernels_interpreted

SHAPES = ((2, 3), (0,), (0, 3), (3, 0), (), (1, 1))
ARGUMENTS = {"Accumulate": (1,)}
# What it draws is another number on every engine.
TRANSFORMS = sorted(set(transforms._MODULES) - {"GradientNoise"})


def moved(create, engine: str) -> list[Tensor]:
    """Return parameters of all shapes after two steps."""
    torch.manual_seed(0)
    params = [nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    optimizer = create(params, **ON[engine])
    moves = [torch.randn(shape) for shape in SHAPES]

    def closure() -> float:
        for param, move in zip(params, moves, strict=True):
            param.grad = move.clone()
        return 0.0

    for _ in range(2):
        closure()
        optimizer.step(closure)
    return [param.detach() for param in params]


def assert_on_all_engines(create) -> None:
    expected = moved(create, "loop")
    assert all(torch.isfinite(param).all() for param in expected)
    with nullcontext() if EXHAUSTIVE else kernels_interpreted():
        for engine in ("foreach", "fused"):
            torch.testing.assert_close(moved(create, engine), expected)


@pytest.mark.parametrize("name", TRACED)
def test_an_optimizer_steps_parameters_of_any_size(name):
    assert_on_all_engines(lambda params, **on: schuss.create_optimizer(name, params, **on))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_takes_parameters_of_any_size(name):
    transform = getattr(schuss, name)(*ARGUMENTS.get(name, ()))
    assert_on_all_engines(lambda params, **on: schuss.AdamW(params, transforms=[transform], **on))


class ByLargest(schuss.Optimizer):
    """Divides by an extreme, which nothing has; and by that of all parameters."""

    def measure(self, state, group, grad, param):
        return {"largest": grad.abs().amax()}

    def update(self, state, group, grad, param):
        return grad / grad.abs().amax() / group["sums_over_all"]["largest"]


@pytest.mark.parametrize("engine", ON)
def test_a_rule_never_sees_a_parameter_without_numbers(engine):
    params = [nn.Parameter(torch.zeros(shape)) for shape in ((0, 3), (2,), (0,))]
    for param in params:
        param.grad = torch.full_like(param, 4.0)
    ByLargest(params, {"lr": 1.0}, **ON[engine]).step()  # type: ignore[call-arg]
    assert params[1].tolist() == [-0.25, -0.25]  # 4 / 4 / 4
