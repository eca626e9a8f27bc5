"""Hyper-parameters that a checkpoint does not change, because the caller keeps new ones."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

import schuss
from tests.checkpoint.trained import snapshot, train, trained


@pytest.mark.parametrize("theirs", [schuss.AdamW, torch.optim.AdamW], ids=["ours", "torchs"])
def test_what_is_kept_stays_and_the_rest_is_loaded(theirs):
    saved = trained(theirs, lr=0.25, weight_decay=0.5, eps=1e-3).state_dict()
    optimizer = trained(schuss.AdamW, steps=0, lr=0.125, weight_decay=0.0, eps=1e-8)
    optimizer.load_state_dict(saved, keep=("lr", "weight_decay"))
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"], group["eps"]) == (0.125, 0.0, 1e-3)
    assert [state["step"] for state in optimizer.state.values()] == [3, 3]


def test_the_next_step_is_that_of_the_kept_rate():
    saved = trained(schuss.SGD, lr=0.25).state_dict()
    optimizer = trained(schuss.SGD, steps=0, lr=0.5)
    optimizer.load_state_dict(saved, keep=("lr",))
    # From 1 by a gradient of 1/2 at a rate of 1/2.
    assert all(torch.equal(p, torch.full_like(p, 0.75)) for p in train(optimizer))


def test_a_schedule_that_begins_after_loading_begins_at_the_kept_rate():
    first = trained(schuss.SGD, lr=0.25)
    CosineAnnealingLR(first, 10)
    saved = first.state_dict()
    assert saved["param_groups"][0]["initial_lr"] == 0.25
    for keep, rate in [((), 0.25), (("lr",), 0.5)]:
        optimizer = trained(schuss.SGD, steps=0, lr=0.5)
        optimizer.load_state_dict(saved, keep=keep)
        schedule = LambdaLR(optimizer, lambda step: 1.0)
        assert schedule.base_lrs == [rate]
        assert optimizer.param_groups[0]["lr"] == rate


def test_a_schedule_that_began_before_loading_keeps_its_note():
    first = trained(schuss.SGD, lr=0.25)
    CosineAnnealingLR(first, 10)
    optimizer = trained(schuss.SGD, steps=0, lr=0.5)
    CosineAnnealingLR(optimizer, 10)
    optimizer.load_state_dict(first.state_dict(), keep=("lr",))
    assert optimizer.param_groups[0]["initial_lr"] == 0.5


def test_a_value_outside_of_its_domain_does_no_harm_if_another_is_kept():
    saved = trained(schuss.SGD, lr=0.25).state_dict()
    saved["param_groups"][0]["lr"] = -1.0
    optimizer = trained(schuss.SGD, steps=0, lr=0.5)
    with pytest.raises(ValueError, match="learning rate"):
        optimizer.load_state_dict(saved)
    optimizer.load_state_dict(saved, keep=("lr",))


@pytest.mark.parametrize(
    ("keep", "error", "message"),
    [
        (("learning_rate",), ValueError, "keep has 'learning_rate'.* they have .*'lr'"),
        (("params",), ValueError, "keep has 'params'"),
        ("lr", TypeError, r"keep='lr' is one name; write keep=\('lr',\)"),
    ],
    ids=str,
)
def test_what_no_group_has_cannot_be_kept(keep, error, message):
    optimizer = trained(schuss.SGD, lr=0.5)
    before = snapshot(optimizer)
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(trained(schuss.SGD).state_dict(), keep=keep)
    assert snapshot(optimizer) == before
