from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import schuss
from tests.checkpoint.trained import trained


def buffers(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [v for s in optimizer.state.values() for v in s.values() if torch.is_tensor(v)]


def test_the_step_count_is_saved_as_torch_saves_it_and_counted_as_a_number():
    optimizer = trained()
    step = optimizer.state_dict()["state"][0]["step"]
    reference = trained(torch.optim.Adam).state_dict()["state"][0]["step"]
    assert torch.equal(step, reference)
    assert step.dtype is reference.dtype
    fresh = trained(steps=0)
    fresh.load_state_dict(optimizer.state_dict())
    assert [state["step"] for state in fresh.state.values()] == [3, 3]
    assert type(next(iter(fresh.state.values()))["step"]) is int


def test_loaded_state_is_a_copy():
    optimizer, fresh = trained(), trained(steps=0)
    fresh.load_state_dict(optimizer.state_dict())
    ours, theirs = buffers(fresh), buffers(optimizer)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not {a.data_ptr() for a in ours} & {b.data_ptr() for b in theirs}


def test_state_is_loaded_in_the_precision_that_the_optimizer_would_give_it():
    double = trained(dtype=torch.float64)
    single = trained(steps=0)
    single.load_state_dict(double.state_dict())
    assert {b.dtype for b in buffers(single)} == {torch.float32}

    low = trained(dtype=torch.bfloat16, master_weights=True)
    fresh = trained(dtype=torch.bfloat16, steps=0, master_weights=True)
    fresh.load_state_dict(low.state_dict())
    assert {b.dtype for b in buffers(fresh)} == {torch.float32, torch.int16}


def test_state_keeps_the_memory_layout_of_its_parameter():
    param = nn.Parameter(torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last))
    optimizer = schuss.Adam([param])
    param.grad = torch.ones_like(param)
    optimizer.step()
    state_dict = copy.deepcopy(optimizer.state_dict())
    for value in state_dict["state"][0].values():
        if value.ndim == 4:
            value.data = value.contiguous()
    optimizer.load_state_dict(state_dict)
    assert optimizer.state[param]["exp_avg"].stride() == param.stride()


def test_how_a_step_is_run_does_not_travel_but_hyperparameters_do():
    theirs = trained(torch.optim.Adam, lr=0.25, fused=True, weight_decay=0.5)
    ours = trained(steps=0, decoupled_weight_decay=True)
    ours.load_state_dict(theirs.state_dict())
    group = ours.param_groups[0]
    assert (group["lr"], group["weight_decay"], group["fused"]) == (0.25, 0.5, None)
    assert group["decoupled_weight_decay"] is False


def test_a_checkpoint_that_lacks_a_hyperparameter_leaves_it_as_it_is():
    ours = trained(schuss.SGD, steps=0, momentum=0.9, weight_decay=schuss.WeightDecay(0.1))
    ours.load_state_dict(trained(torch.optim.SGD, momentum=0.5).state_dict())
    assert ours.param_groups[0]["momentum"] == 0.5
    assert ours.param_groups[0]["decoupled_weight_decay"] is True


@pytest.mark.parametrize("cls", [schuss.Adam, schuss.RAdam, schuss.AdaBelief, schuss.AdamWarmup])
def test_amsgrad_may_be_switched_on_at_any_time(cls):
    optimizer = trained(cls)
    optimizer.param_groups[0]["amsgrad"] = True
    param = optimizer.param_groups[0]["params"][0]
    param.grad = torch.ones_like(param)
    optimizer.step()
    assert any(key.startswith("max_") for key in optimizer.state[param])


def test_state_that_belongs_to_no_parameter_is_kept():
    optimizer = trained()
    optimizer.state["note"] = {"tokens": 7}
    fresh = trained(steps=0)
    fresh.load_state_dict(optimizer.state_dict())
    assert fresh.state["note"] == {"tokens": 7}
