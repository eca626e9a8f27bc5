"""`torch.distributed.checkpoint` in one process: saved, and loaded into a new model."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    get_state_dict,
    set_optimizer_state_dict,
    set_state_dict,
)

import schuss
from schuss.composite import everything, ndim
from tests.algorithms import EVERY, OF_MATRICES

# One process is enough here, and torch warns that there is one.
pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")


def model(seed: int, name: str = "") -> nn.Sequential:
    torch.manual_seed(seed)
    bias = name not in OF_MATRICES
    return nn.Sequential(nn.Linear(3, 4, bias=bias), nn.Tanh(), nn.Linear(4, 2, bias=bias))


def optimizer_of(name: str, params: nn.Module, **options: Any) -> Any:
    [info] = schuss.list_optimizers(name)
    return info.cls(params.parameters(), foreach=False, **options)


def composite(params: nn.Module) -> schuss.Composite:
    route = [("hidden", ndim == 2), ("rest", everything)]
    parts = {"hidden": schuss.Muon(lr=0.125), "rest": schuss.Prodigy()}
    return schuss.Composite(params, route=route, foreach=False, **parts)


def walk(params: nn.Module, optimizer: Any, steps: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        torch.manual_seed(int(torch.randint(1 << 30, (), generator=generator)))
        optimizer.zero_grad()
        params(torch.randn(5, 3, generator=generator)).square().sum().backward()
        optimizer.step()


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def goes_on(build: Any, make: Any, tmp_path: Any) -> None:
    """Save a training, load it into a new one, and compare both after three steps more."""
    first = build(0)
    optimizer = make(first)
    walk(first, optimizer, 3, seed=1)
    saved = dict(zip(("model", "optimizer"), get_state_dict(first, optimizer), strict=True))
    checkpoint.save(saved, checkpoint_id=tmp_path, no_dist=True)

    second = build(5)
    other = make(second)
    loaded = dict(zip(("model", "optimizer"), get_state_dict(second, other), strict=True))
    checkpoint.load(loaded, checkpoint_id=tmp_path, no_dist=True)
    set_state_dict(
        second, other, model_state_dict=loaded["model"], optim_state_dict=loaded["optimizer"]
    )
    assert equal(first, second)
    walk(first, optimizer, 3, seed=2)
    walk(second, other, 3, seed=2)
    assert equal(first, second)


@pytest.mark.parametrize("name", EVERY)
def test_every_optimizer_goes_on_from_a_distributed_checkpoint(name, tmp_path):
    goes_on(lambda seed: model(seed, name), lambda params: optimizer_of(name, params), tmp_path)


def test_a_composite_goes_on_from_a_distributed_checkpoint(tmp_path):
    goes_on(model, composite, tmp_path)


FORMS = {
    "full": {"full_state_dict": True, "cpu_offload": True},
    "flat": {"flatten_optimizer_state_dict": True},
}


WITH_TEXT = ("adammini", "mars")
"""Optimizers with a text in their state, which torch does not flatten."""


@pytest.mark.parametrize(
    ("name", "form"),
    [
        *((name, "full") for name in EVERY),
        *((name, "flat") for name in EVERY if name not in WITH_TEXT),
    ],
)
def test_every_optimizer_takes_the_state_of_another_beside_a_model_that_is_loaded(name, form):
    # Loading takes a step with a rate of zero first, to make the state.
    momentum = {"momentum": 0.9} if name == "sgd" else {}  # torch asks for some state
    options = StateDictOptions(**FORMS[form])
    first = model(0, name)
    optimizer = optimizer_of(name, first, **momentum)
    walk(first, optimizer, 3, seed=1)
    saved = copy.deepcopy(get_optimizer_state_dict(first, optimizer, options=options))
    second = model(5, name)
    second.load_state_dict(first.state_dict())
    other = optimizer_of(name, second, **momentum)
    set_optimizer_state_dict(second, other, saved, options=options)
    assert equal(first, second)
    walk(first, optimizer, 3, seed=2)
    walk(second, other, 3, seed=2)
    assert equal(first, second)


def test_load_by_name_takes_the_names_of_a_distributed_checkpoint():
    first = model(0)
    optimizer = optimizer_of("adamw", first)
    walk(first, optimizer, 3, seed=1)
    saved = get_optimizer_state_dict(first, optimizer)
    second = model(0)
    other = schuss.AdamW([*second[2].parameters(), *second[0].parameters()])
    report = other.load_by_name(saved, second)
    assert list(report.matched) == ["2.weight", "2.bias", "0.weight", "0.bias"]
    for mine, theirs in zip(second.parameters(), first.parameters(), strict=True):
        assert torch.equal(other.state[mine]["exp_avg"], optimizer.state[theirs]["exp_avg"])
