"""Numbers of the state: whatever holds them, and however large they are, they travel exactly."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch

import schuss
from tests.checkpoint.trained import snapshot, train, trained

FIVE = {
    "int": 5,
    "float": 5.0,
    "int64": np.int64(5),
    "float32": np.float32(5),
    "array": np.array(5.0),
    "tensor": torch.tensor(5.0),
    "whole tensor": torch.tensor(5),
    "one element": torch.tensor([5.0]),
}


@pytest.mark.parametrize("five", FIVE.values(), ids=FIVE)
def test_a_step_count_that_was_put_in_by_hand_is_saved_and_loaded(five):
    optimizer = trained()
    for state in optimizer.state.values():
        state["step"] = five
    saved = optimizer.state_dict()
    step = saved["state"][0]["step"]
    assert (step.dtype, tuple(step.shape), step.item()) == (torch.float32, (), 5.0)
    saved["state"][0]["step"] = five
    resumed = trained(steps=0)
    resumed.load_state_dict(saved)
    steps = [state["step"] for state in resumed.state.values()]
    assert steps == [5, 5]
    assert {type(step) for step in steps} == {int}


@pytest.mark.parametrize("step", [2**24 - 1, 2**24, 2**24 + 1, 2**53 - 1])
def test_a_step_count_that_float32_does_not_hold_travels_exactly(step):
    optimizer = trained()
    for state in optimizer.state.values():
        state["step"] = step
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    assert saved["state"][0]["step"].item() == step
    resumed = trained(steps=0)
    resumed.load_state_dict(saved)
    assert [state["step"] for state in resumed.state.values()] == [step, step]
    theirs = trained(torch.optim.Adam, steps=0)
    theirs.load_state_dict(saved)
    assert {state["step"].item() for state in theirs.state.values()} == {step}


def test_other_numbers_arrive_as_what_they_were_whatever_held_them():
    optimizer = trained(schuss.NAdam, transforms=[schuss.Lookahead(2)])
    saved = copy.deepcopy(optimizer.state_dict())
    for hold in (torch.tensor, np.float64, lambda number: torch.tensor([number])):
        for state in saved["state"].values():
            state.update({k: hold(state[k]) for k in ("mu_product", "lookahead_step")})
        resumed = trained(schuss.NAdam, steps=0, transforms=[schuss.Lookahead(2)])
        resumed.load_state_dict(saved)
        (param, *_) = resumed.param_groups[0]["params"]
        mine = resumed.state[param]
        theirs = next(iter(optimizer.state.values()))
        # 0-d tensors are in float32, as NAdam's product is.
        assert mine["mu_product"] == theirs["mu_product"]
        assert (mine["lookahead_step"], type(mine["lookahead_step"])) == (3, int)
        saved = copy.deepcopy(optimizer.state_dict())


@pytest.mark.parametrize("value", ["x", None, -1, 0.5, float("nan"), True], ids=str)
def test_every_number_that_counts_is_whole_and_not_negative(value):
    optimizer = trained(transforms=[schuss.EMA()])
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][0]["ema_step"] = value
    before = snapshot(optimizer)
    with pytest.raises(ValueError, match="'ema_step' of parameter 0 .* a whole number of at least"):
        optimizer.load_state_dict(saved)
    assert snapshot(optimizer) == before


def test_a_number_that_becomes_another_in_a_step_is_loaded_as_either():
    class Adding(schuss.Optimizer):
        def init_state(self, state, group, param):
            state["total"] = 0  # which is whole only here

        def update(self, state, group, grad, param):
            state["total"] += group["lr"]
            return grad * state["total"]

    optimizer = trained(Adding, defaults={"lr": 0.25})
    resumed = trained(Adding, steps=0, defaults={"lr": 0.25})
    resumed.load_state_dict(optimizer.state_dict())
    assert [state["total"] for state in resumed.state.values()] == [0.75, 0.75]


def test_state_of_which_the_shape_changes_in_the_first_step_is_loaded():
    class Growing(schuss.Optimizer):
        def init_state(self, state, group, param):
            state["mean"] = torch.zeros((), dtype=param.dtype)

        def update(self, state, group, grad, param):
            state["mean"] = state["mean"] * 0.5 + grad
            return state["mean"]

    optimizer = trained(Growing, defaults={"lr": 0.25}, foreach=False)
    resumed = trained(Growing, steps=0, defaults={"lr": 0.25}, foreach=False)
    resumed.load_state_dict(optimizer.state_dict())
    assert snapshot(resumed)[1] == snapshot(optimizer)[1]


def test_a_rule_that_reads_values_is_tried_on_real_tensors():
    class Reading(schuss.Optimizer):
        def update(self, state, group, grad, param):
            if "scale" not in state:
                state["scale"] = grad.abs().amax(dim=0)
            return grad if state["scale"].max().item() >= 0 else -grad

    options = {"defaults": {"lr": 0.25}, "foreach": False, "shapes": ((3, 2), (4, 4))}
    optimizer = trained(Reading, **options)
    resumed = trained(Reading, steps=0, **options)
    weights = train(resumed, steps=0)
    resumed.load_state_dict(optimizer.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(train(resumed, 0), weights, strict=True))
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][0]["scale"] = torch.ones(3, 2)
    with pytest.raises(ValueError, match=r"'scale' of parameter 0 .* must be .* of shape \(2,\)"):
        resumed.load_state_dict(saved)


def test_loading_draws_no_random_numbers():
    class Drawing(schuss.Optimizer):
        def update(self, state, group, grad, param):
            return grad + torch.randn(grad.shape)

    optimizer = trained(Drawing, defaults={"lr": 0.25}, foreach=False)
    optimizer.state[optimizer.param_groups[0]["params"][0]]["note"] = 1
    before = torch.get_rng_state()
    optimizer.load_state_dict(optimizer.state_dict())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))],
    ids=["copy", "pickle"],
)
def test_copies_go_on_as_the_original_does(copied):
    optimizer = trained(schuss.ASGD, lr=0.25, t0=1)
    twin = copied(optimizer)
    assert snapshot(twin) == snapshot(optimizer)
    train(optimizer)
    train(twin)
    assert snapshot(twin) == snapshot(optimizer)
