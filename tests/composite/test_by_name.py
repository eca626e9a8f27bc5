"""A composite finds its parameters by their names, in whatever parts they are."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import schuss
from schuss.composite import everything, named, ndim


def model(*names: str) -> nn.Module:
    """Return layers in some order, whose numbers depend on the name only."""
    made = nn.Module()
    for name in names:
        torch.manual_seed(ord(name))
        made.add_module(name, nn.Linear(3, 3))
    return made


def composite(layers: nn.Module, *of_matrices: str, **options: Any) -> schuss.Composite:
    """Return a composite that gives the matrices of some layers to Muon."""
    route = [("hidden", named(f"{name}.*") & (ndim == 2)) for name in of_matrices]
    route.append(("rest", everything))
    parts = {"hidden": schuss.Muon(lr=0.125), "rest": schuss.AdamW(lr=0.25)}
    return schuss.Composite(layers, route=route, **{**parts, **options})


def walk(layers: nn.Module, optimizer: Any, steps: int = 1) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        sum(param.square().sum() for param in layers.parameters()).backward()
        optimizer.step()


def test_a_model_in_another_order_goes_on_as_it_would_have():
    first = model("a", "b")
    optimizer = composite(first, "a", "b")
    walk(first, optimizer, 3)
    second = model("b", "a")
    second.load_state_dict(first.state_dict())
    other = composite(second, "a", "b", hidden=schuss.Muon(lr=0.5))
    report = other.load_by_name(copy.deepcopy(optimizer.state_dict()), keep=("weight_decay",))
    assert len(report.matched) == 4
    assert [g["algorithm"] for g in other.param_groups] == ["hidden", "rest"]
    assert [g["lr"] for g in other.param_groups] == [0.125, 0.25]
    walk(first, optimizer, 2)
    walk(second, other, 2)
    for name, param in second.named_parameters():
        assert torch.equal(param, first.get_parameter(name))


def test_a_parameter_of_another_part_is_refused_or_left_out():
    first = model("a", "b")
    optimizer = composite(first, "a", "b")
    walk(first, optimizer)
    second = model("a", "b")
    other = composite(second, "a")
    message = (
        r"'b.weight' was saved .* of the rule of Muon, and AdamW, .*rename=\{'b.weight': None\}"
    )
    with pytest.raises(ValueError, match=message):
        other.load_by_name(optimizer.state_dict())
    assert not other.state
    report = other.load_by_name(optimizer.state_dict(), rename={"b.weight": None}, strict=False)
    assert report.new == report.dropped == ("b.weight",)
    assert second.get_parameter("b.weight") not in other.state


def test_checkpoints_of_several_optimizers_are_a_list():
    first = model("a", "b")
    matrices = [(n, p) for n, p in first.named_parameters() if p.ndim == 2]
    others = [(n, p) for n, p in first.named_parameters() if p.ndim == 1]
    theirs = [torch.optim.Muon(matrices, lr=0.5), torch.optim.AdamW(others, lr=0.5)]
    for each in theirs:
        walk(first, each)
    second = model("b", "a")
    other = composite(second, "a", "b")
    report = other.load_by_name([each.state_dict() for each in theirs])
    assert list(report.matched.values()) == ["b.weight", "a.weight", "b.bias", "a.bias"]
    for optimizer, pairs, key in zip(
        theirs, (matrices, others), ("momentum_buffer", "exp_avg"), strict=True
    ):
        for name, param in pairs:
            found = other.state[second.get_parameter(name)][key]
            torch.testing.assert_close(found, optimizer.state[param][key], check_dtype=False)
    with pytest.raises(ValueError, match="there are 1 checkpoints in the loaded list, and 2 parts"):
        other.load_by_name([theirs[0].state_dict()])


def test_what_is_kept_may_differ_among_the_checkpoints_of_a_list():
    first = model("a")
    groups = [
        {"params": [p], "lr": lr} for p, lr in zip(first.parameters(), (0.5, 1.0), strict=True)
    ]
    saved = schuss.AdamW(groups).state_dict()
    other = schuss.Composite(first, rest=schuss.AdamW(lr=0.25), route=[("rest", everything)])
    with pytest.raises(ValueError, match=r"several values of 'lr'.* keep=\('lr',\)"):
        other.load_state_dict([saved])
    other.load_state_dict([saved], keep=("lr",))
    assert [g["lr"] for g in other.param_groups] == [0.25]
