"""Kernels: who shares one, and what is told of one that no file has."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import schuss
from schuss import Optimizer
from schuss.engines.devices.cpu import cache, compiled
from schuss.engines.kernels import kernel

NAMES_OF_ALL_KINDS = [
    '"""\nraise SystemExit\n"""',
    "../../../up/and\\away",
    "long" * 100,
    "größer ✨",
    "",
]


def explained(optimizer):
    (cohort,) = optimizer.explain().cohorts
    return cohort


@pytest.mark.parametrize("name", NAMES_OF_ALL_KINDS)
def test_a_class_of_any_name_with_the_same_rule_has_the_same_kernel(name):
    param = nn.Parameter(torch.ones(3))
    adam = explained(schuss.Adam([param]))
    misses = kernel.kernel.cache_info().misses
    same = type("Same", (schuss.Adam,), {})
    same.__name__ = same.__qualname__ = name
    mine = same([param], fused=True)
    assert (explained(mine).path, explained(mine).kernel) == (adam.path, adam.kernel)
    assert kernel.kernel.cache_info().misses == misses
    assert re.fullmatch(r"step_float32_[0-9a-f]{16}\.py", adam.path.name)
    assert str(mine.explain()).startswith(same.__name__ + "\n")


class Kept(Optimizer):
    """A rule whose state has a key, and which makes another."""

    keys = "average", "made"

    def init_state(self, state, group, param):
        state[self.keys[0]] = torch.zeros_like(param)

    def update(self, state, group, grad, param):
        state[self.keys[1]] = grad * 0.5
        return state[self.keys[0]].lerp_(grad, 0.5)


@pytest.mark.parametrize("key", [*NAMES_OF_ALL_KINDS, "\x00\ud800"])
def test_keys_of_a_state_are_not_in_the_kernel(key, monkeypatch):
    def stepped():
        param = nn.Parameter(torch.ones(3))
        param.grad = torch.ones(3)
        optimizer = Kept([param], {"lr": 1.0}, fused=True)  # type: ignore[call-arg]
        optimizer.step()
        assert param.tolist() == [0.5] * 3  # 1 - 1 * (0 + 0.5 * (1 - 0))
        assert set(optimizer.state[param]) == set(Kept.keys)
        return explained(optimizer)

    plain = stepped()
    monkeypatch.setattr(Kept, "keys", (key, key + "!"))
    assert (stepped().path, stepped().kernel) == (plain.path, plain.kernel)


def test_an_explanation_shows_the_source_of_a_kernel_that_no_file_has(monkeypatch):
    monkeypatch.setattr(compiled, "_made", {})
    monkeypatch.setattr(kernel, "kernel", kernel.kernel.__wrapped__)
    monkeypatch.setattr("schuss.engines.kernels.binding.kernel", kernel.kernel)
    monkeypatch.setattr(cache, "directory", lambda: None)
    cohort = explained(schuss.SGD([nn.Parameter(torch.ones(3))], fused=True))
    assert cohort.path is None
    assert "kernel in memory, since no file of it could be kept\n" in str(cohort)
    assert "v3 = v1 + a0 * v0" in str(cohort)
