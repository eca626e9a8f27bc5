"""States that somebody could reach: a step goes on as it was planned unless they were changed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import schuss
from schuss.engines import planning

STEPS = 5


@pytest.fixture
def plans(monkeypatch):
    """The groups that were planned anew."""
    found = []
    on_fastest = planning.Planner.on_fastest

    def noted(self, known, batch):
        found.append(batch)
        return on_fastest(self, known, batch)

    monkeypatch.setattr(planning.Planner, "on_fastest", noted)
    return found


class Counting(schuss.AdamW):
    """Has numbers of several kinds in its state."""

    traced_once = True

    def init_state(self, state, group, param):
        super().init_state(state, group, param)
        state.update(share=0.0, whole=2, flag=True, name="a", nothing=None)


def made(cls=Counting, dtype=torch.float32, **options):
    params = [nn.Parameter(torch.ones(shape).to(dtype)) for shape in ((3, 2), (4,))]
    optimizer = cls(params, lr=0.1, **options)
    step(optimizer, STEPS)
    return optimizer, params


def step(optimizer, count=1):
    for _ in range(count):
        for param in optimizer.param_groups[0]["params"]:
            param.grad = torch.full_like(param, 0.5)
        optimizer.step()


@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True}])
def test_reading_and_writing_into_tensors_is_not_to_touch_the_state(options, plans):
    optimizer, (param, _) = made(**options)
    plans.clear()
    for count in range(1, 8):
        state = optimizer.state[param]
        assert state["step"] == STEPS + count - 1
        before = float(state["exp_avg"].sum())
        step(optimizer)
        assert float(state["exp_avg"].sum()) != before
        state["exp_avg"].zero_()
    assert not plans


@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True}])
@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda states, p, s: s.update(step=2), id="count"),
        pytest.param(lambda states, p, s: s.update(step=float(s["step"])), id="type"),
        pytest.param(lambda states, p, s: s.update(share=-0.0), id="sign"),
        pytest.param(lambda states, p, s: s.update(share=math.nan), id="nan"),
        pytest.param(lambda states, p, s: s.update(flag=1), id="flag"),
        pytest.param(lambda states, p, s: s.update(name="b"), id="name"),
        pytest.param(lambda states, p, s: s.update(nothing=0), id="none"),
        pytest.param(lambda states, p, s: s.update(more=1), id="added"),
        pytest.param(lambda states, p, s: s.pop("whole"), id="removed"),
        pytest.param(lambda states, p, s: s.update(exp_avg=s["exp_avg"].clone()), id="tensor"),
        pytest.param(lambda states, p, s: states.update({p: dict(s)}), id="dictionary"),
        pytest.param(lambda states, p, s: states.pop(p), id="dropped"),
        pytest.param(
            lambda states, p, s: setattr(s["exp_avg"], "data", s["exp_avg"] * 2), id="moved"
        ),
        pytest.param(lambda states, p, s: s["exp_avg"].set_(s["exp_avg_sq"].clone()), id="set"),
    ],
)
@pytest.mark.filterwarnings("ignore:Counting cannot run")
def test_whatever_else_is_done_is_noticed(edit, options, plans):
    optimizer, (param, _) = made(**options)
    states = optimizer.state
    edit(states, param, states[param])
    del states
    plans.clear()
    step(optimizer)
    assert plans


def test_numbers_in_which_parameters_differ_are_compared(plans):
    optimizer, params = made()
    params[0].grad = None
    optimizer.step()  # from here on they differ in their count
    step(optimizer, 3)
    for changes in (False, True):
        state = optimizer.state[params[1]]
        state["step"] += changes
        plans.clear()
        step(optimizer)
        assert bool(plans) == changes


def test_an_encoded_tensor_may_be_read_and_written_into(plans):
    params = [nn.Parameter(torch.ones(64, 128))]
    optimizer = schuss.AdamW(params, lr=0.1, state_storage="8bit")
    step(optimizer, STEPS)
    plans.clear()
    for _ in range(3):
        optimizer.state[params[0]]["exp_avg"].copy_(torch.zeros(64, 128))
        step(optimizer)
    assert not plans
    optimizer.state[params[0]]["exp_avg"] = torch.zeros(64, 128)
    step(optimizer)
    assert plans
