from __future__ import annotations

import torch
from torch import nn

import schuss
from schuss.contract import State
from schuss.engines.fused.tracer import trace


def traced(optimizer: schuss.Optimizer):
    (group,) = optimizer.param_groups
    (param,) = group["params"]
    state: State = {}
    optimizer.init_state(state, group, param)
    return trace(optimizer.step_param, state, group, param.detach(), param.detach())


ADAMW = """\
v0 = grad
v1 = param
v2 = state.exp_avg
v3 = state.exp_avg_sq
v4 = mul(v1, a0)
v5 = lerp(v2, v0, a1)
v6 = mul(v3, a2)
v7 = addcmul(v6, v0, v0, a3)
v8 = div(v5, a4)
v9 = div(v7, a5)
v10 = sqrt(v9)
v11 = add(v10, a6)
v12 = div(v8, v11)
v13 = add_scaled(v4, v12, a7)
param <- v13
state.exp_avg <- v5
state.exp_avg_sq <- v7"""


def test_the_program_of_adamw_reads_as_its_page():
    found = traced(schuss.AdamW([nn.Parameter(torch.ones(3))], lr=0.5, weight_decay=0.5))
    assert str(found.program) == ADAMW
    assert found.scalars == {"step": 1}
    # 1 - 0.5 * 0.5 and -lr, the first and the last number that met a tensor
    assert (found.arguments[0], found.arguments[-1]) == (0.75, -0.5)


def test_hyperparameters_make_other_arguments_of_the_same_program():
    param = nn.Parameter(torch.ones(3))
    first = traced(schuss.AdamW([param], lr=0.5, betas=(0.1, 0.2), eps=1e-3))
    second = traced(schuss.AdamW([param], lr=0.1))
    assert first.program == second.program
    assert first.arguments != second.arguments


def test_state_that_is_only_read_is_not_written():
    found = traced(schuss.Sophia([nn.Parameter(torch.ones(3))]))
    assert [place for place, _ in found.program.outputs] == ["param", "state.exp_avg"]


def test_what_leads_to_nothing_is_left_out():
    class Wasteful(schuss.Optimizer):
        def update(self, state, group, grad, param):
            _ = (grad * param).exp()
            return grad.clone().detach()

    found = traced(Wasteful([nn.Parameter(torch.ones(3))], {"lr": 1.0}))
    assert str(found.program) == ("v0 = grad\nv1 = param\nv2 = add_scaled(v1, v0, a0)\nparam <- v2")
