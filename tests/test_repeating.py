"""Rules of the library are traced once, a stranger's in every step, unless it says otherwise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import schuss
from schuss.repeating import pure

FACTOR = [1.0]
"""Read by rules, which nobody can see from outside."""


class Reading(schuss.SGD):
    """Reads a number that is in none of its arguments."""

    def update(self, state, group, grad, param):
        return grad * FACTOR[0]


class Vowed(Reading):
    """The same, with a promise that it does not keep."""

    traced_once = True


class Named(schuss.AdamW):
    """Says nothing, and changes nothing."""


def moved(optimizer: schuss.Optimizer) -> float:
    """Return how far the last of four steps goes, before which something has changed."""
    (param,) = optimizer.param_groups[0]["params"]
    for _ in range(3):
        param.grad = torch.ones(3)
        optimizer.step()
    before = param[0].item()
    FACTOR[0] = 2.0
    try:
        optimizer.step()
    finally:
        FACTOR[0] = 1.0
    return round(before - param[0].item(), 4)


def created(cls: type, **options: Any) -> schuss.Optimizer:
    optimizer: schuss.Optimizer = cls([nn.Parameter(torch.zeros(3))], lr=0.5, **options)
    return optimizer


def is_repeated(optimizer: schuss.Optimizer) -> bool:
    return pure(optimizer, optimizer.whole_rule()) is not None


def test_a_rule_of_another_package_is_traced_in_every_step():
    assert moved(created(Reading)) == 1.0
    assert not is_repeated(created(Named))


def test_a_class_that_says_so_is_traced_once():
    assert is_repeated(created(Vowed)) is False  # what it inherits from does not say so
    Reading.traced_once = True
    try:
        schuss.repeating.is_traced_once.cache_clear()
        assert moved(created(Vowed)) == 0.5
    finally:
        del Reading.traced_once
        schuss.repeating.is_traced_once.cache_clear()


def test_a_method_of_an_instance_is_called_in_every_step():
    optimizer = created(schuss.SGD)
    vars(optimizer)["update"] = lambda state, group, grad, param: grad * FACTOR[0]
    assert moved(optimizer) == 1.0


def test_any_method_of_an_instance_is_called_in_every_step():
    optimizer = created(schuss.Adam)
    optimizer.step()
    assert is_repeated(optimizer)
    vars(optimizer)["direction"] = lambda state, group, m, v: m * 0 + FACTOR[0]
    assert moved(optimizer) == 1.0
    assert not is_repeated(optimizer)


def test_decay_rates_in_a_list_are_read_like_those_in_a_tuple():
    optimizer = created(schuss.Adam, betas=[0.5, 0.75])
    expected = created(schuss.Adam, betas=(0.5, 0.75))
    assert moved(optimizer) == moved(expected)
    (known,) = optimizer._engine._known
    assert known.bound
    assert known.bound.cohorts[0].replays._known


def test_a_method_that_is_replaced_in_the_class_is_seen(monkeypatch):
    optimizer = created(schuss.SGD)
    for _ in range(3):
        moved(optimizer)
    monkeypatch.setattr(schuss.SGD, "update", lambda self, state, group, grad, param: grad * 3)
    assert moved(optimizer) == 1.5


def test_a_decay_that_is_replaced_is_seen():
    optimizer = created(schuss.SGD, weight_decay=schuss.WeightDecay(0.5))
    for _ in range(3):
        moved(optimizer)
    (param,) = optimizer.param_groups[0]["params"]
    before = param[0].item()
    optimizer.weight_decay = schuss.L1Decay(0.5)
    assert moved(optimizer) != pytest.approx(0.5 * (1 + 0.5 * before), abs=1e-3)
    assert is_repeated(optimizer)


def test_a_transform_of_another_package_has_the_rule_traced_in_every_step():
    class Scaled(schuss.Transform):
        def gradient(self, state, group, grad, param):
            return grad * FACTOR[0]

    optimizer = created(schuss.SGD, transforms=[Scaled()])
    assert moved(optimizer) == 1.0
    assert not is_repeated(optimizer)
