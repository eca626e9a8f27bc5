"""A checkpoint names the rule that its state is of."""

from __future__ import annotations

import copy

import pytest
import torch

import schuss
from schuss.composite import everything, ndim
from schuss.loading.rules import RULE, rule_of
from tests.algorithms import EVERY
from tests.checkpoint.trained import snapshot, train, trained

CLASSES = {info.name: info.cls for info in schuss.list_optimizers()}
ONE_RULE = [{"adam", "adamw", "adamc", "amsgrad"}, {"sophia", "sophiah"}]
"""Optimizers whose state means the same, so that one goes on from that of another."""


def rule(name):
    return rule_of(trained(CLASSES[name], steps=0, foreach=False))


def test_optimizers_with_one_rule_are_known():
    by_rule: dict[str, set[str]] = {}
    for name in EVERY:
        by_rule.setdefault(rule(name), set()).add(name)
    assert [names for names in by_rule.values() if len(names) > 1] == ONE_RULE


@pytest.mark.parametrize("name", EVERY)
def test_a_checkpoint_is_refused_by_optimizers_with_another_rule_whatever_its_keys(name):
    shapes = ((3, 2), (4, 4))
    saved = trained(CLASSES[name], foreach=False, shapes=shapes).state_dict()
    others = [other for other in EVERY if rule(other) != rule(name)]
    start = EVERY.index(name)
    for other in (others * 2)[start : start + 6]:
        optimizer = trained(CLASSES[other], steps=0, foreach=False, shapes=shapes)
        before = snapshot(optimizer)
        with pytest.raises(ValueError, match="group 0 was saved by another optimizer.* delete"):
            optimizer.load_state_dict(saved)
        assert snapshot(optimizer) == before


@pytest.mark.parametrize("other", [schuss.LaProp, schuss.Yogi, schuss.RAdam, schuss.NAdamW])
def test_state_with_the_same_keys_is_of_another_rule_unless_somebody_removes_its_name(other):
    saved = copy.deepcopy(trained(schuss.Adam).state_dict())
    optimizer = trained(other, steps=0)
    told = f"of the rule of Adam, and {other.__name__} would take it for something else"
    with pytest.raises(ValueError, match=told):
        optimizer.load_state_dict(saved)
    del saved["param_groups"][0][RULE]
    optimizer.load_state_dict(saved)
    assert [state["step"] for state in optimizer.state.values()] == [3, 3]


def test_amsgrad_does_not_become_adam_unseen():
    saved = trained(schuss.Adam).state_dict()
    optimizer = trained(schuss.AMSGrad, steps=0)
    with pytest.raises(ValueError, match="AMSGrad would become Adam"):
        optimizer.load_state_dict(saved)
    optimizer.load_state_dict(saved, keep=("amsgrad",))
    assert optimizer.param_groups[0]["amsgrad"] is True
    train(optimizer)
    assert all("max_exp_avg_sq" in state for state in optimizer.state.values())
    adam = trained(schuss.Adam, steps=0)
    adam.load_state_dict(optimizer.state_dict())
    assert adam.param_groups[0]["amsgrad"] is True


def test_the_name_of_the_rule_is_in_checkpoints_only():
    optimizer = trained(schuss.AdamW)
    optimizer.load_state_dict(optimizer.state_dict())
    assert RULE not in optimizer.param_groups[0]
    assert optimizer.state_dict()["param_groups"][0][RULE] == "Adam"


def test_torch_optim_carries_the_name_along():
    ours = trained(schuss.AdamW)
    theirs = trained(torch.optim.AdamW, steps=0)
    theirs.load_state_dict(ours.state_dict())
    train(theirs)
    back = trained(schuss.AdamW, steps=0)
    back.load_state_dict(theirs.state_dict())
    assert [state["step"] for state in back.state.values()] == [4, 4]
    with pytest.raises(ValueError, match="of the rule of Adam, and RAdam"):
        trained(schuss.RAdam, steps=0).load_state_dict(theirs.state_dict())


class Logged(schuss.AdamW):
    """A subclass that computes what its base does."""

    def step(self, closure=None):
        self.calls = getattr(self, "calls", 0) + 1
        return super().step(closure)

    def mean_step(self):
        return sum(state["step"] for state in self.state.values()) / len(self.state)


class Halved(schuss.AdamW):
    """A subclass that computes something else."""

    def update(self, state, group, grad, param):
        return super().update(state, group, grad, param) / 2


def test_a_subclass_has_the_rule_of_its_base_unless_it_overrides_a_method_of_it():
    saved = trained(schuss.AdamW).state_dict()
    trained(Logged, steps=0).load_state_dict(saved)
    trained(schuss.AdamW, steps=0).load_state_dict(trained(Logged).state_dict())
    with pytest.raises(ValueError, match="of the rule of Adam, and Halved"):
        trained(Halved, steps=0).load_state_dict(saved)


def test_each_part_of_a_composite_has_its_rule():
    model = torch.nn.Linear(3, 3)
    route = [("hidden", ndim == 2), ("rest", everything)]
    parts = {"rest": schuss.AdamW(lr=0.1), "route": route}
    optimizer = schuss.Composite(model, hidden=schuss.Muon(lr=0.1), **parts)
    rules = {g["algorithm"]: g[RULE] for g in optimizer.state_dict()["param_groups"]}
    assert rules == {"hidden": "Muon", "rest": "Adam"}
    other = schuss.Composite(model, hidden=schuss.SOAP(lr=0.1), **parts)
    with pytest.raises(ValueError, match="of the rule of Muon, and SOAP"):
        other.load_state_dict(optimizer.state_dict())
