"""The state is right whenever somebody looks, and what they change is used by the next step."""

from __future__ import annotations

import copy
import pickle
from collections import defaultdict
from collections.abc import Callable

import pytest
import torch
from torch import nn

import schuss


def step(optimizer: schuss.Optimizer, count: int = 1) -> None:
    for _ in range(count):
        for group in optimizer.param_groups:
            for param in group["params"]:
                param.grad = param.detach() + 0.5
        optimizer.step()


def created(**options) -> schuss.Optimizer:
    params = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))]
    return schuss.Adam(params, lr=0.1, **options)


def numbers(optimizer: schuss.Optimizer) -> torch.Tensor:
    params = [param for group in optimizer.param_groups for param in group["params"]]
    state = [v for p in params for v in optimizer.state[p].values() if torch.is_tensor(v)]
    return torch.cat([tensor.detach().float().flatten() for tensor in (*params, *state)])


def first(optimizer: schuss.Optimizer) -> nn.Parameter:
    param: nn.Parameter = optimizer.param_groups[0]["params"][0]
    return param


def load(optimizer):
    saved = optimizer.state_dict()
    step(optimizer, 2)
    optimizer.load_state_dict(saved)


def set_the_step(optimizer):
    optimizer.state[first(optimizer)]["step"] = 7


def replace_a_tensor(optimizer):
    optimizer.state[first(optimizer)]["exp_avg"] = torch.full((2,), 2.0)


def clear_one(optimizer):
    optimizer.state[first(optimizer)].clear()


def clear_all(optimizer):
    optimizer.state.clear()


def replace_all(optimizer):
    optimizer.state = defaultdict(dict, {p: dict(s) for p, s in optimizer.state.items()})
    replace_a_tensor(optimizer)


def move_a_parameter(optimizer):
    first(optimizer).data = first(optimizer).data.clone()


def widen_a_parameter(optimizer):
    first(optimizer).data = first(optimizer).data.double()
    optimizer.state[first(optimizer)].clear()


def add_a_group(optimizer):
    optimizer.add_param_group({"params": nn.Parameter(torch.ones(4)), "lr": 0.2})


def drop_a_parameter(optimizer):
    optimizer.param_groups[0]["params"].pop()


def turn_on_amsgrad(optimizer):
    optimizer.param_groups[0]["amsgrad"] = True


CHANGES: list[Callable[[schuss.Optimizer], None]] = [
    load,
    set_the_step,
    replace_a_tensor,
    clear_one,
    clear_all,
    replace_all,
    move_a_parameter,
    widen_a_parameter,
    add_a_group,
    drop_a_parameter,
    turn_on_amsgrad,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_is_changed_between_steps_is_used_by_the_next(change):
    ends = []
    for options in ({"foreach": False}, {"fused": True}):
        optimizer = created(**options)
        step(optimizer, 5)
        change(optimizer)
        step(optimizer, 5)
        ends.append(numbers(optimizer))
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-6, atol=1e-7)


def test_state_that_somebody_holds_stays_right_and_may_be_changed_at_any_time():
    ends = []
    for options in ({"foreach": False}, {"fused": True}):
        optimizer = created(**options)
        step(optimizer, 4)
        state = optimizer.state[first(optimizer)]
        for expected in (5, 6, 7):
            step(optimizer)
            assert state["step"] == expected
        state["step"] = 20
        state["exp_avg"] = torch.full((2,), 2.0)
        step(optimizer)
        assert state["step"] == 21
        held = state.pop("exp_avg_sq")
        state["exp_avg_sq"] = held.clone()
        step(optimizer, 2)
        ends.append(torch.cat([numbers(optimizer), held]))
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-6, atol=1e-7)


def test_a_step_is_not_planned_anew_because_somebody_holds_the_state(monkeypatch):
    from schuss.engines import planning
    from schuss.engines.cohorts import divided as dividing

    optimizer = created()
    step(optimizer, 2)
    state = optimizer.state[first(optimizer)]
    step(optimizer)
    calls = []

    def divided(*arguments):
        calls.append(1)
        return dividing.divided(*arguments)

    monkeypatch.setattr(planning, "divided", divided)
    step(optimizer, 3)
    assert not calls
    state["step"] = 100
    step(optimizer, 3)
    assert len(calls) == 1
    assert state["step"] == 103
    del state
    step(optimizer, 10)
    assert len(calls) == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_a_copy_goes_on_from_the_same_state(copied):
    optimizer = created()
    step(optimizer, 4)
    twin = copied(optimizer)
    step(optimizer, 3)
    step(twin, 3)
    assert torch.equal(numbers(twin), numbers(optimizer))
    assert twin.state[first(twin)]["step"] == 7


@pytest.mark.parametrize("count", [1, 5])
def test_gradients_that_go_and_come_back_find_their_state(count):
    ends = []
    for options in ({"foreach": False}, {"fused": True}):
        optimizer = created(**options)
        params = optimizer.param_groups[0]["params"]
        for number in range(12):
            for param in params:
                param.grad = param.detach() + 0.5
            if number % 3 == 0:
                params[1].grad = None
            for _ in range(count):
                optimizer.step()
        assert [optimizer.state[p]["step"] for p in params] == [12 * count, 8 * count]
        ends.append(numbers(optimizer))
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"foreach": True}, {"foreach": False}])
@pytest.mark.parametrize("cls", [schuss.AdamW, schuss.SGD])
@pytest.mark.parametrize("reads", [(0,), (3,), (0, 4), (0, 1, 2, 3, 4, 5)])
def test_to_ask_for_the_state_of_a_parameter_without_one_is_not_to_begin_it(reads, cls, options):
    params = [nn.Parameter(torch.ones(3)) for _ in range(2)]
    optimizer = cls(params, lr=0.1, **options)
    for number in range(7):
        params[0].grad = torch.ones(3)
        params[1].grad = torch.ones(3) if number >= 5 else None
        if number in reads:
            assert optimizer.state[params[1]] == {} or number >= 5
        optimizer.step()
    alone = cls([nn.Parameter(torch.ones(3))], lr=0.1)
    for _ in range(2):
        first(alone).grad = torch.ones(3)
        alone.step()
    torch.testing.assert_close(params[1].detach(), first(alone).detach())
