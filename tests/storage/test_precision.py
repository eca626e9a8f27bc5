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
