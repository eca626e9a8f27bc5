from __future__ import annotations

import pytest
import torch
from torch import nn

import schuss
from schuss import Optimizer


class Recorder(Optimizer):
    """Remembers what a rule is given, and makes, binds anew and deletes state."""

    def __init__(self, params, **options):
        super().__init__(params, {"lr": 1.0}, **options)
        self.seen = []

    def init_state(self, state, group, param):
        state["step"], state["kept"] = 0, torch.zeros_like(param)

    def update(self, state, group, grad, param):
        sizes = tuple(map(int, param.shape))
        self.seen = [grad.dtype, param.dtype, state["kept"].dtype, sizes]
        if state["step"] == 1:
            state["made"], state["dropped"] = grad.clone(), grad.clone()
        else:
            state.pop("dropped", None)
        state["kept"] = state["kept"] + grad
        state["made"].add_(1)
        return grad


def step(optimizer: Optimizer, param: torch.Tensor, times: int = 2) -> None:
    for _ in range(times):
        param.grad = torch.ones_like(param)
        optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_rule_computes_half_precision_in_float32_and_state_is_stored_in_half(dtype):
    param = nn.Parameter(torch.zeros(3, dtype=dtype))
    optimizer = Recorder([param])
    step(optimizer, param)
    assert optimizer.seen == [torch.float32, torch.float32, torch.float32, (3,)]
    state = optimizer.state[param]
    assert set(state) == {"step", "kept", "made"}
    assert state["kept"].dtype is state["made"].dtype is dtype
    # kept: 1 + 1; made: 1 (the gradient), plus 1 in each of two steps; param: -1 - 1
    assert [state["kept"][0], state["made"][0], param[0]] == [2, 3, -2]


class Sides(Optimizer):
    """Binds state of another shape than its parameter's anew in each step."""

    def __init__(self, params, **options):
        super().__init__(params, {"lr": 1.0}, **options)

    def init_state(self, state, group, param):
        state["side"], state["sums"] = param.new_zeros(2, 2), param.new_zeros(2, 1)
        state["norm"] = torch.zeros((), dtype=torch.float32)

    def update(self, state, group, grad, param):
        state["side"] = state["side"] + grad @ grad.mT
        state["sums"] = state["sums"] + grad.sum(-1, keepdim=True)
        state["norm"] = grad.norm()
        return state["side"] @ grad + state["sums"]


@pytest.mark.parametrize("engine", [{"foreach": False}, {"foreach": True}, {}], ids=str)
def test_state_of_any_shape_that_is_bound_anew_stays_as_precise_as_it_was(engine):
    param = nn.Parameter(torch.zeros(2, 3, dtype=torch.bfloat16))
    optimizer = Sides([param], **engine)
    for _ in range(2):
        param.grad = torch.full_like(param, 1 / 16)
        optimizer.step()
    state = optimizer.state[param]
    assert [state[key].dtype for key in ("side", "sums", "norm")] == [
        torch.bfloat16,
        torch.bfloat16,
        torch.float32,
    ]
    assert state["side"].eq(2 * 3 / 256).all()
    assert state["sums"].eq(2 * 3 / 16).all()


def test_a_rule_computes_complex_numbers_as_pairs_and_state_is_stored_complex():
    param = nn.Parameter(torch.zeros(3, dtype=torch.complex64))
    optimizer = Recorder([param])
    step(optimizer, param)
    assert optimizer.seen == [torch.float32, torch.float32, torch.float32, (3, 2)]
    state = optimizer.state[param]
    assert state["kept"].dtype is state["made"].dtype is torch.complex64
    assert state["made"].shape == (3,)
    # The gradient is 1 + 0i; `made` gains 1 in both parts in each of two steps.
    assert [state["kept"][0], state["made"][0], param[0]] == [2, 3 + 2j, -2]


def test_a_stabilizer_below_the_smallest_float16_still_stabilizes():
    """1e-8 is zero in float16; 0 / 0 would be no number."""
    param = nn.Parameter(torch.ones(2, dtype=torch.float16))
    param.grad = torch.tensor([0.0, 1.0], dtype=torch.float16)
    schuss.Adam([param], lr=0.25).step()
    assert param.tolist() == [1.0, 0.75]
