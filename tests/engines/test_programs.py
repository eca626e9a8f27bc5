from __future__ import annotations

import torch
from torch import nn

import schuss
from schuss.contract import State, Work
from schuss.engines.cohorts.contents import Member, Needs
from schuss.engines.cohorts.divided import divided


def traced(optimizer: schuss.Optimizer):
    (group,) = optimizer.param_groups
    (param,) = group["params"]
    state: State = {}
    optimizer.init_state(state, group, param)
    (cohort,) = divided(group, [Member(param, state, param.dtype)], Needs())
    (part,) = cohort.trace(Work(optimizer.step_param), group)
    return part.trace


ADAMW = """\
v0 = grad
v1 = param
v3 = state.exp_avg
v4 = state.exp_avg_sq
v5 = mul(v1, a0)
v6 = lerp(v3, v0, a1)
v7 = mul(v4, a2)
v8 = addcmul(v7, v0, v0, a3)
v9 = div(v6, a4)
v10 = div(v8, a5)
v11 = sqrt(v10)
v12 = add(v11, a6)
v13 = div(v9, v12)
v14 = add_scaled(v5, v13, a7)
state.exp_avg <- v6
state.exp_avg_sq <- v8
param <- v14"""


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
    assert [place for (place, _), _ in found.program.outputs] == ["state.exp_avg", "param"]


def test_what_leads_to_nothing_is_left_out():
    class Wasteful(schuss.Optimizer):
        def update(self, state, group, grad, param):
            _ = (grad * param).exp()
            return grad.clone().detach()

    found = traced(Wasteful([nn.Parameter(torch.ones(3))], {"lr": 1.0}))  # type: ignore[call-arg]
    assert str(found.program) == ("v0 = grad\nv1 = param\nv3 = add_scaled(v1, v0, a0)\nparam <- v3")
