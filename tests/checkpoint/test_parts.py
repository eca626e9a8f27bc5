"""What is saved and loaded, with an owner of groups and state that is no optimizer."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from schuss import WeightDecay
from schuss.algorithm import Algorithm
from schuss.checkpoint import TRAINED, Loaded, hooked, loaded, saved
from schuss.domains import Domains, at_least
from schuss.groupchecks import GroupChecks
from schuss.hyperparameters import OPTION_DEFAULTS


class Owner(Algorithm):
    """An algorithm with two parameters in two groups."""

    domains = Domains(lr=at_least(0))

    def __init__(self):
        super().__init__(WeightDecay(), ())
        self.defaults = {**OPTION_DEFAULTS, **self.weight_decay.defaults(), "lr": 0.5}
        self.params = [torch.tensor([1.0, 2.0]), torch.tensor([3.0])]
        self.param_groups = [{"params": [param], **self.defaults} for param in self.params]
        self.state: dict[Any, Any] = {}
        self.checks = GroupChecks()

    def algorithm_of(self, group):
        return self

    def begin_state(self, state, group, param):
        state["step"] = 0
        state["mean"] = torch.zeros_like(param)

    def update(self, state, group, grad, param):
        return grad

    def __setstate__(self, state):
        vars(self).update(state)

    def read_group(self, saved):
        return {**saved, "lr": saved["lr"] * 2}


def test_parameters_are_numbers_in_a_checkpoint_and_steps_are_tensors():
    owner = Owner()
    first, second, gone = torch.zeros(2), torch.zeros(1), torch.zeros(1)
    groups = [{"params": [first], "lr": 0.5}, {"params": [second], "lr": 0.25}]
    mean = torch.ones(1)
    states: dict[Any, Any] = {second: {"step": 3, "mean": mean}, gone: {"step": 7}, "note": "kept"}
    owner.param_groups = groups
    found = saved(owner, states, {second: torch.tensor([5.0])})
    assert found["param_groups"] == [
        {"params": [0], "lr": 0.5, "schuss_rule": "Owner"},
        {"params": [1], "lr": 0.25, "schuss_rule": "Owner"},
    ]
    assert set(found["state"]) == {1, "note"}
    assert torch.equal(found["state"][1]["step"], torch.tensor(3.0))
    assert found["state"][1]["mean"] is mean
    assert found["state"][1][TRAINED].item() == 5.0
    assert states[second]["step"] == 3
    assert groups[0]["params"] == [first]


def test_a_checkpoint_is_made_to_fit_and_changes_nothing():
    owner, other = Owner(), Owner()
    state = {"step": 3, "mean": torch.tensor([0.5])}
    checkpoint = saved(other, {other.params[1]: state}, {})
    checkpoint["state"]["note"] = "kept"
    made = loaded(owner, owner.checks, checkpoint)
    assert [group["lr"] for group in made.groups] == [1.0, 1.0]  # as read_group takes them
    assert [group["lr"] for group in owner.param_groups] == [0.5, 0.5]
    assert made.groups[0]["params"] == [owner.params[0]]
    assert set(made.state) == {owner.params[1], "note"}
    assert made.state[owner.params[1]]["step"] == 3
    assert type(made.state[owner.params[1]]["step"]) is int
    assert made.state[owner.params[1]]["mean"] is not state["mean"]
    assert made.trained == {}


def test_weights_that_were_trained_become_those_of_the_parameter():
    owner = Owner()
    trained = torch.tensor([5.0], dtype=torch.float64)
    state = {"step": 3, "mean": torch.zeros(1)}
    checkpoint = saved(owner, {owner.params[1]: state}, {owner.params[1]: trained})
    made = loaded(owner, owner.checks, checkpoint)
    assert TRAINED not in made.state[owner.params[1]]
    made.put_into(owner)
    assert owner.params[1].item() == 5.0
    assert owner.state is made.state
    assert owner.param_groups is made.groups


def test_an_error_of_the_owner_puts_state_and_groups_back():
    class Refusing:
        def __init__(self):
            self.state: Any = {"old": {}}
            self.param_groups: Any = [{"lr": 0.5}]

        def __setstate__(self, state):
            self.state, self.param_groups = state["state"], state["param_groups"]
            raise MemoryError

    owner, param = Refusing(), torch.tensor([1.0])
    with pytest.raises(MemoryError):
        Loaded([{"lr": 0.25}], {"new": {}}, {param: torch.tensor([2.0])}).put_into(owner)
    assert (owner.state, owner.param_groups) == ({"old": {}}, [{"lr": 0.5}])
    assert param.item() == 1.0


def test_a_hook_sees_what_the_one_before_it_returned():
    hooks = {
        0: lambda owner, checkpoint: {**checkpoint, "first": owner},
        1: lambda owner, checkpoint: None,
        2: lambda owner, checkpoint: {**checkpoint, "third": sorted(checkpoint)},
    }
    assert hooked(hooks, "owner", {"a": 1}) == {"a": 1, "first": "owner", "third": ["a", "first"]}
    assert hooked({}, "owner", {"a": 1}) == {"a": 1}
