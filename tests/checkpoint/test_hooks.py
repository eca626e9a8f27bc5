"""Hooks around saving and loading see what those of torch.optim see, call by call."""

from __future__ import annotations

import copy

import pytest
import torch

import schuss
from tests.checkpoint.trained import snapshot, train, trained

BOTH = pytest.mark.parametrize("cls", [torch.optim.AdamW, schuss.AdamW], ids=["torch", "schuss"])


@BOTH
def test_a_hook_before_loading_may_unwrap_a_checkpoint(cls):
    saved = {"wrapped": trained(cls, steps=5, lr=0.25).state_dict(), "epoch": 7}
    for unwrap in (
        lambda _, given: given["wrapped"],
        lambda _, given: given.update(given.pop("wrapped")),
    ):
        optimizer = trained(cls)
        handle = optimizer.register_load_state_dict_pre_hook(unwrap)
        optimizer.load_state_dict(saved)
        assert sorted(saved) == ["epoch", "wrapped"]  # the hook had a copy
        assert optimizer.param_groups[0]["lr"] == 0.25
        assert {int(state["step"]) for state in optimizer.state.values()} == {5}
        handle.remove()
        with pytest.raises((KeyError, ValueError)):
            optimizer.load_state_dict(saved)


@BOTH
def test_a_hook_after_saving_sees_step_counts_in_tensors_and_may_wrap_the_checkpoint(cls):
    optimizer, seen = trained(cls), []

    def wrapped(_, saved):
        seen.append(copy.deepcopy(saved))
        return {"wrapped": saved}

    optimizer.register_state_dict_post_hook(wrapped)
    optimizer.register_state_dict_post_hook(lambda _, saved: saved.update(epoch=7))
    saved = optimizer.state_dict()
    assert sorted(saved) == ["epoch", "wrapped"]
    assert all(torch.equal(state["step"], torch.tensor(3.0)) for state in seen[0]["state"].values())
    assert seen[0]["param_groups"][0]["params"] == [0, 1]


@BOTH
def test_a_hook_before_saving_may_change_the_optimizer(cls):
    optimizer = trained(cls, lr=1.0)

    def halve(optimizer):
        optimizer.param_groups[0]["lr"] = 0.5
        for state in optimizer.state.values():
            state["exp_avg"].zero_()

    optimizer.register_state_dict_pre_hook(halve)
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["lr"] == 0.5
    assert not any(state["exp_avg"].any() for state in saved["state"].values())


@BOTH
def test_a_hook_after_loading_sees_what_was_loaded(cls):
    optimizer, seen = trained(cls), []
    optimizer.register_load_state_dict_post_hook(
        lambda given: seen.extend(
            [given, given.param_groups[0]["lr"], *(int(s["step"]) for s in given.state.values())]
        )
    )
    optimizer.load_state_dict(trained(cls, steps=5, lr=0.25).state_dict())
    assert seen == [optimizer, 0.25, 5, 5]


@BOTH
def test_hooks_run_in_their_order_and_those_that_are_prepended_first(cls):
    optimizer, events = trained(cls), []
    for moment in (
        "state_dict_pre_hook",
        "state_dict_post_hook",
        "load_state_dict_pre_hook",
        "load_state_dict_post_hook",
    ):
        register = getattr(optimizer, f"register_{moment}")
        for name, prepend in [("second", False), ("third", False), ("first", True)]:
            register(lambda *_, of=moment, name=name: events.append((of, name)), prepend=prepend)
    saved = optimizer.state_dict()
    assert events == [
        (moment, name)
        for moment in ("state_dict_pre_hook", "state_dict_post_hook")
        for name in ("first", "second", "third")
    ]
    events.clear()
    optimizer.load_state_dict(saved)
    assert events == [
        (moment, name)
        for moment in ("load_state_dict_pre_hook", "load_state_dict_post_hook")
        for name in ("first", "second", "third")
    ]


def test_hooks_see_what_is_trained_of_an_optimizer_that_evaluates():
    optimizer = trained(schuss.SGD, transforms=[schuss.EMA(0.5)])
    seen = []
    optimizer.register_state_dict_post_hook(lambda _, saved: seen.append(dict(saved["state"][0])))
    with optimizer.evaluating():
        optimizer.state_dict()
    assert torch.equal(seen[0]["trained_param"], optimizer.param_groups[0]["params"][0])


def test_a_checkpoint_that_is_refused_calls_no_hook_after_loading():
    optimizer, events = trained(), []
    optimizer.register_load_state_dict_pre_hook(lambda *_: events.append("before"))
    optimizer.register_load_state_dict_post_hook(lambda _: events.append("after"))
    before = snapshot(optimizer)
    with pytest.raises(ValueError, match="'exp_avg'"):
        optimizer.load_state_dict(trained(shapes=((3, 3), (4,))).state_dict())
    assert events == ["before"]
    assert snapshot(optimizer) == before
    train(optimizer)
