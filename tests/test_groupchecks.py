"""Checks of groups by themselves: which are made, and when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import schuss
from schuss.domains import DECAY_RATE, Domains, at_least
from schuss.groupchecks import GroupChecks
from schuss.hyperparameters import OPTION_DEFAULTS
from tests.algorithms import EVERY


class Owner:
    """The owner of two groups, who writes down which of their learning rates are checked."""

    def __init__(self) -> None:
        self.defaults: dict[str, Any] = {**OPTION_DEFAULTS, "lr": 0.5, "beta": 0.9}
        params = [torch.zeros(2) for _ in range(4)]
        self.param_groups: list[Any] = [
            {"params": params[:2], **self.defaults},
            {"params": params[2:], **self.defaults, "lr": 0.25},
        ]
        self.checked: list[object] = []
        self.group_domains = Domains(lr=at_least(0), beta=DECAY_RATE)
        self.checks = GroupChecks()
        self.longest = 2

    def algorithm_of(self, group):
        return self

    def check_group(self, group):
        self.checked.append(group["lr"])
        self.group_domains.check(group)

    def check_parameters(self, group):
        if any(len(param) > self.longest for param in group["params"]):
            raise ValueError(f"there is one of more than {self.longest} numbers")

    def changed(self):
        """Return the learning rates of the groups that are checked now."""
        self.checked.clear()
        self.checks.check_changed(self)
        return list(self.checked)


def test_all_groups_are_checked_once_and_again_when_one_holds_another_object():
    owner = Owner()
    assert owner.changed() == [0.5, 0.25]
    assert owner.changed() == []
    owner.param_groups[1]["lr"] = 0.125
    assert owner.changed() == [0.125]  # a number is of no interest to the others
    owner.param_groups[0]["note"] = None
    assert owner.changed() == [0.5, 0.125]
    owner.param_groups.reverse()
    assert owner.changed() == [0.125, 0.5]
    owner.param_groups[0] = dict(owner.param_groups[0])
    assert owner.changed() == []


def test_a_group_that_is_refused_is_checked_in_the_next_step_too():
    owner = Owner()
    owner.param_groups[1]["beta"] = 1.5
    for _ in range(2):
        with pytest.raises(ValueError, match=r"1\.5.*\(Owner, parameter group 1\)"):
            owner.changed()
    owner.param_groups[1]["beta"] = "high"
    with pytest.raises(TypeError, match=r"'high'.*\(Owner, parameter group 1\)"):
        owner.changed()


def test_a_group_needs_a_learning_rate_and_what_the_defaults_have():
    owner = Owner()
    owner.defaults.pop("lr")
    for key in ("lr", "beta"):
        group = {k: v for k, v in owner.param_groups[0].items() if k != key}
        with pytest.raises(ValueError, match=rf"the group has no '{key}'; .* parameter group 7"):
            owner.checks.check(owner, 7, group)
    assert owner.checked == []


def test_options_that_a_group_lacks_are_those_of_the_optimizer():
    owner = Owner()
    owner.defaults["foreach"] = False
    for key in OPTION_DEFAULTS:
        del owner.param_groups[1][key]
    owner.changed()
    assert owner.param_groups[0]["foreach"] is None
    assert owner.param_groups[1]["foreach"] is False
    assert owner.param_groups[1]["maximize"] is False


def test_lists_of_parameters_are_checked_when_they_hold_others():
    owner = Owner()
    owner.changed()
    first, second = owner.param_groups
    first["params"].append(second["params"][0])  # of which a step learns when it plans anew
    owner.checks.check_changed(owner)
    with pytest.raises(ValueError, match="listed twice, in parameter groups 0 and 1"):
        owner.checks.check_listed(owner)
    first["params"] = list(first["params"])
    with pytest.raises(ValueError, match="listed twice, in parameter groups 0 and 1"):
        owner.checks.check_changed(owner)
    first["params"].pop()
    owner.checks.check_changed(owner)
    owner.param_groups[0] = None
    with pytest.raises(TypeError, match="parameter group 0 is None"):
        owner.checks.check_changed(owner)


def test_rules_see_the_groups_themselves_or_copies_with_numbers_of_python():
    owner = Owner()
    owner.changed()
    assert owner.checks.for_rules(owner, owner.param_groups) is owner.param_groups
    owner.param_groups[0]["lr"] = np.float32(0.5)
    owner.param_groups[1]["beta"] = torch.tensor([0.75])
    owner.changed()
    first, second = owner.checks.for_rules(owner, owner.param_groups)
    assert type(first["lr"]) is float
    assert second["beta"].shape == ()
    assert type(owner.param_groups[0]["lr"]) is np.float32
    assert first["params"] is owner.param_groups[0]["params"]


def test_parameters_that_the_algorithm_does_not_take_are_refused_when_they_come_or_groups_change():
    owner = Owner()
    owner.changed()
    owner.longest = 1
    owner.checks.check_changed(owner)  # nothing has changed
    owner.param_groups[0]["lr"] = 0.125
    owner.checks.check_changed(owner)  # nothing but a number has changed
    owner.param_groups[0]["note"] = None
    message = r"more than 1 numbers \(Owner, parameter group 0\)"
    with pytest.raises(ValueError, match=message):
        owner.checks.check_changed(owner)
    owner.longest = 2
    owner.checks.check_changed(owner)
    owner.param_groups[1]["params"].append(torch.zeros(3))
    with pytest.raises(ValueError, match=r"more than 2 numbers \(Owner, parameter group 1\)"):
        owner.checks.check_listed(owner)


def test_a_number_of_another_type_is_looked_at_anew():
    owner = Owner()
    owner.changed()
    owner.param_groups[0]["lr"] = np.float64(0.125)
    owner.checks.check_changed(owner)
    assert type(owner.checks.for_rules(owner, owner.param_groups)[0]["lr"]) is float


def test_numbers_that_change_beside_the_learning_rate_are_checked():
    optimizer = schuss.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.1)
    optimizer.step()
    optimizer.param_groups[0].update(lr=0.2, momentum=-1.0)
    with pytest.raises(ValueError, match=r"momentum value: -1\.0"):
        optimizer.step()
    optimizer.param_groups[0].update(lr=-0.2, momentum=0.9)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"learning rate: -0\.2.*\(SGD, parameter group 0\)"):
            optimizer.step()


class Noting(dict[str, Any]):
    """A group that notes how often its learning rate is read."""

    reads = 0

    def __getitem__(self, key):
        self.reads += key == "lr"
        return super().__getitem__(key)


@pytest.mark.parametrize("name", EVERY)
def test_no_check_of_ours_compares_the_learning_rate_with_others(name):
    optimizer = schuss.create_optimizer(name, [torch.nn.Parameter(torch.zeros(4, 4))])
    group = Noting(optimizer.param_groups[0])
    optimizer.check_group(group)
    assert group.reads == 1  # to check its own domain
