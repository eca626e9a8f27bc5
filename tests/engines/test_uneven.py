"""Parameters that come and go: their counts differ, and one kernel steps them all the same."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import schuss
from schuss.engines.devices.cpu.launch import Launch
from tests.conformance.strangers import Ruled

SHAPES = ((3,), (40,), (2, 5), (17_000,), (1, 7))


def created(create, **options) -> schuss.Optimizer:
    generator = torch.Generator().manual_seed(1)
    params = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    optimizer: schuss.Optimizer = create(params, **options)
    return optimizer


def stepped(optimizer: schuss.Optimizer, steps: int = 14) -> None:
    """Take steps in which each parameter has a gradient or not, as it happens."""
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        for param in optimizer.param_groups[0]["params"]:
            grad = torch.randn(param.shape, generator=generator)
            param.grad = grad if torch.rand((), generator=generator) < 0.6 else None
        optimizer.step()


def numbers(optimizer: schuss.Optimizer) -> list[torch.Tensor]:
    params = optimizer.param_groups[0]["params"]
    kept = [torch.as_tensor(v) for p in params for v in optimizer.state[p].values()]
    return [*(param.detach() for param in params), *kept]


def logarithmic(state, group, grad, param):
    state["step"] += 1
    param.sub_(grad, alpha=group["lr"] / math.log(1 + state["step"]))


def cycling(state, group, grad, param):
    state["step"] += 1
    if state["step"] % 3 == 0:
        state["seen"] = state["step"] / 2
    param.sub_(grad * group["lr"] / max(state["step"], 3))


def counting(state, _):
    state["step"] = 0


def counting_in_two(state, _):
    state.update(step=0, seen=0.0)


RULES = {
    "adamw": lambda params, **options: schuss.AdamW(params, lr=0.01, **options),
    "radam": lambda params, **options: schuss.RAdam(params, lr=0.01, **options),
    "nadam": lambda params, **options: schuss.NAdam(params, lr=0.01, **options),
    "ademamix": lambda params, **options: schuss.AdEMAMix(params, lr=0.01, **options),
    "sgd": lambda params, **options: schuss.SGD(params, lr=0.01, momentum=0.9, **options),
    "lamb": lambda params, **options: schuss.LAMB(params, lr=0.01, **options),
    "adafactor": schuss.Adafactor,
    "prodigy": schuss.Prodigy,
    "logarithm": lambda params, **o: Ruled(params, logarithmic, counting, **o),
    "branches": lambda params, **o: Ruled(params, cycling, counting_in_two, **o),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("engine", ["fused", "foreach"])
def test_each_parameter_goes_its_own_way_as_on_the_loop(rule, engine):
    ends = []
    for options in ({"foreach": False}, {engine: True}):
        optimizer = created(RULES[rule], **options)
        stepped(optimizer)
        ends.append(numbers(optimizer))
    for found, expected in zip(ends[1], ends[0], strict=True):
        # Some units in the last place of float32, a step.
        torch.testing.assert_close(found, expected, rtol=3e-5, atol=1e-6)


def watched(monkeypatch) -> list[Any]:
    """Return the arguments of every launch from here on."""
    prepared: list[Any] = []
    prepare = Launch.prepare

    def watching(self, *args):
        prepared.append(args)
        prepare(self, *args)

    monkeypatch.setattr(Launch, "prepare", watching)
    return prepared


def test_all_counts_take_one_launch_a_step(monkeypatch):
    optimizer = created(RULES["adamw"], fused=True)
    stepped(optimizer)
    prepared = watched(monkeypatch)
    for param in optimizer.param_groups[0]["params"]:
        param.grad = torch.ones_like(param)
    optimizer.step()
    (_, _, arguments, which, *_) = prepared[0]
    assert len(prepared) == 1
    assert len({optimizer.state[p]["step"] for p in optimizer.param_groups[0]["params"]}) > 2
    assert len(arguments) > 2
    assert len(which) == len(SHAPES)


def test_a_branch_on_the_count_takes_a_launch_for_each_side(monkeypatch):
    optimizer = created(RULES["radam"], fused=True)
    params = optimizer.param_groups[0]["params"]
    for number in range(8):  # rectified from the sixth step on
        for at, param in enumerate(params):
            param.grad = torch.ones_like(param) if at % 2 == 0 or number < 2 else None
        optimizer.step()
    prepared = watched(monkeypatch)
    for param in params:
        param.grad = torch.ones_like(param)
    optimizer.step()
    assert sorted(indices.tolist() for _, indices, *_ in prepared) == [[0, 2, 4], [1, 3]]


def test_counts_that_meet_again_are_one_again():
    optimizer = created(RULES["adamw"], fused=True)
    stepped(optimizer)
    for param in optimizer.param_groups[0]["params"]:
        optimizer.state[param]["step"] = 50
    for param in optimizer.param_groups[0]["params"]:
        param.grad = torch.ones_like(param)
    for _ in range(2):
        optimizer.step()
    (known,) = optimizer._engine._known
    assert known.bound is not None
    assert [cohort.scalars.own for cohort in known.bound.cohorts] == [{}]
    assert {optimizer.state[p]["step"] for p in optimizer.param_groups[0]["params"]} == {52}
