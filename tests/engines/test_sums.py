"""Rules that need sums over parameters."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from schuss import Optimizer
from tests.conformance.trajectories import ON, TOLERANCE, Training, distance, trajectory


class Clipped(Optimizer):
    """Momentum, with the norm over all parameters clipped and that over the group added."""

    def __init__(self, params, lr=0.1, **options):
        super().__init__(params, {"lr": lr}, **options)

    def init_state(self, state, group, param):
        state["step"] = 0
        state["momentum_buffer"] = torch.zeros_like(param)

    def measure(self, state, group, grad, param):
        drift = (grad - state["momentum_buffer"]).abs().amax()
        return {"square": grad.square().sum(), "drift": drift / (1 + state["step"])}

    def update(self, state, group, grad, param):
        norm = group["sums_over_all"]["square"].sqrt()
        state["momentum_buffer"].lerp_(grad / max(norm, 1.0), 0.5)
        return state["momentum_buffer"] * group["sums_over_group"]["drift"]


@pytest.mark.parametrize("engine", ["foreach", "fused"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_sums_over_groups_and_over_all_are_those_of_the_loop(engine, dtype):
    training = Training(dtype=dtype, steps=30, second_group={"lr": 0.05}, saved_after=11)
    expected = trajectory(partial(Clipped, **ON["loop"]), training)
    found = trajectory(partial(Clipped, **ON[engine]), training)
    assert distance(found, expected) <= TOLERANCE[dtype]


@pytest.mark.parametrize("engine", ON)
def test_sums_are_over_the_parameters_with_a_gradient(engine):
    params = [nn.Parameter(torch.zeros(n)) for n in (3, 20_000, 5)]
    seen = []

    class Seeing(Clipped):
        def update(self, state, group, grad, param):
            seen.append((group["sums_over_group"]["square"], group["sums_over_all"]["square"]))
            return super().update(state, group, grad, param)

    optimizer = Seeing([{"params": params[:2]}, {"params": params[2:]}], **ON[engine])
    params[0].grad, params[2].grad = torch.full((3,), 2.0), torch.full((5,), 3.0)
    optimizer.step()
    assert [(float(a), float(b)) for a, b in seen] == [(12.0, 57.0), (45.0, 57.0)]
    params[1].grad = torch.ones(20_000)
    seen.clear()
    optimizer.step()
    assert {float(b) for _, b in seen} == {20_057.0}
    assert set(optimizer.state[params[0]]) == {"step", "momentum_buffer"}
    assert "sums_over_all" not in optimizer.param_groups[0]


@pytest.mark.parametrize("engine", ON)
def test_what_is_measured_has_to_be_one_number(engine):
    class Wrong(Clipped):
        def measure(self, state, group, grad, param):
            return {"square": grad.square()}

    param = nn.Parameter(torch.ones(3))
    param.grad = torch.ones(3)
    optimizer = Wrong([param], **ON[engine])
    with pytest.raises(TypeError, match=r"one number for each parameter, but 'square' has shape"):
        optimizer.step()
    assert param.tolist() == [1.0, 1.0, 1.0]
    assert not optimizer.state
