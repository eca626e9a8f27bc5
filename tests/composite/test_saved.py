"""Checkpoints of two optimizers, and of one class with flags, continue in a composite."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from schuss import AdamW, Composite, Muon
from schuss.composite import everything, named
from tests.composite.networks import divided, network, train, weights

MUON = {"lr": 0.02, "weight_decay": 0.01, "momentum": 0.9}
ADAMW = {"lr": 3e-3, "betas": (0.9, 0.95), "eps": 1e-10, "weight_decay": 0.0}


def composite(model, **options) -> Composite:
    return Composite(model, hidden=Muon(), rest=AdamW(), **options)


def continues(model: nn.Module, apart: list[torch.optim.Optimizer], saved: Any) -> None:
    """Check that a composite continues as the optimizers that have trained the model so far."""
    twin: Any = copy.deepcopy(model)
    resumed = composite(twin, foreach=False)
    resumed.load_state_dict(saved)
    assert len(resumed.state) == len(list(twin.parameters()))
    train(model, apart, seed=2)
    train(twin, [resumed], seed=2)
    for one, other in zip(weights(model), weights(twin), strict=True):
        # torch's Muon rounds to bfloat16 as ours does, but a product may be another operation.
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)


def test_the_checkpoints_of_muon_and_adamw_of_torch_are_loaded_as_a_list():
    model = network()
    matrices, others = divided(model)
    apart: Any = [
        torch.optim.Muon([param for _, param in matrices], **MUON),
        torch.optim.AdamW([param for _, param in others], **ADAMW),
    ]
    train(model, apart)
    continues(model, apart, [optimizer.state_dict() for optimizer in apart])


def test_parameters_with_names_may_have_been_in_another_order():
    model = network()
    matrices, others = divided(model)
    apart: Any = [
        torch.optim.Muon(matrices[::-1], **MUON),
        torch.optim.AdamW([{"params": others[5:]}, {"params": others[:5]}], **ADAMW),
    ]
    train(model, apart)
    continues(model, apart, [optimizer.state_dict() for optimizer in apart])


def flagged(apart: list[Any], *, by_shape: bool) -> dict[str, Any]:
    """Return what `MuonWithAuxAdam` saves, whose groups have a flag, and its matrices an order."""
    state: dict[int, Mapping[str, Any]] = {}
    groups = []
    for optimizer, is_muon in zip(apart, (True, False), strict=True):
        params = list(optimizer.param_groups[0]["params"])
        if is_muon and by_shape:
            params.sort(key=lambda param: param.size(), reverse=True)
        numbers = range(len(state), len(state) + len(params))
        for number, param in zip(numbers, params, strict=True):
            kept = dict(optimizer.state[param])
            kept |= {"step": int(kept["step"])} if "step" in kept else {}
            state[number] = kept
        group = MUON if is_muon else ADAMW
        groups.append({**group, "use_muon": is_muon, "params": list(numbers)})
    return {"state": state, "param_groups": groups}


@pytest.mark.parametrize("by_shape", [True, False])
def test_a_checkpoint_of_muon_with_aux_adam_is_loaded(by_shape):
    model = nn.Sequential(
        nn.Embedding(20, 8), nn.Flatten(), nn.Linear(16, 16), nn.Linear(16, 24), nn.Linear(24, 16)
    ).append(nn.Linear(16, 16))
    model.append(nn.Linear(16, 7))
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and name not in ("0.weight", "6.weight")]
    others = [p for _, p in named if all(p is not matrix for matrix in matrices)]
    apart: Any = [torch.optim.Muon(matrices, **MUON), torch.optim.AdamW(others, **ADAMW)]
    train(model, apart)
    saved = flagged(apart, by_shape=by_shape)
    continues(model, apart, saved)
    resumed = composite(model)
    resumed.load_state_dict(saved)
    assert "use_muon" not in resumed.param_groups[0]
    assert [group["lr"] for group in resumed.param_groups] == [0.02, 3e-3]
    assert [group["eps"] for group in resumed.param_groups] == [1e-7, 1e-10]


def saved_apart(model) -> list[dict[str, Any]]:
    matrices, others = divided(model)
    apart: Any = [
        torch.optim.Muon(matrices),
        torch.optim.AdamW([{"params": others[:5]}, {"params": others[5:], "lr": 0.5}]),
    ]
    train(model, apart, steps=1)
    return [optimizer.state_dict() for optimizer in apart]


def refused(error: type[Exception], message: str, optimizer: Composite, saved: Any) -> None:
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(error, match=re.escape(message)):
        optimizer.load_state_dict(saved)
    assert str(optimizer.state_dict()) == str(before)


def test_a_checkpoint_that_does_not_fit_is_refused():
    model = network()
    muon, adamw = saved_apart(model)
    ours = composite(model)
    refused(
        ValueError,
        "there are 1 checkpoints in the loaded list, and 2 parts: hidden, rest",
        ours,
        [muon],
    )
    refused(TypeError, "the checkpoint for the part 'rest' is of type list", ours, [muon, []])
    refused(
        ValueError,
        "for the part 'hidden' has 7 parameters, and the part has 2",
        ours,
        [adamw, muon],
    )
    refused(ValueError, "group 1 were saved with several values of 'lr'", ours, [muon, adamw])
    refused(
        ValueError, "group 0 names no part, and that of the optimizer is of 'hidden'", ours, muon
    )
    renamed = copy.deepcopy(muon)
    renamed["param_groups"][0]["param_names"] = ["2.weight", "5.weight"]
    refused(ValueError, "the part 'hidden' has no parameter '4.weight'", ours, [renamed, adamw])
    both = Composite(model, hidden=AdamW(), rest=AdamW())
    flags = {"state": {}, "param_groups": [{"use_muon": True, "params": []}]}
    refused(ValueError, "the flag 'use_muon', and so are for one part for matrices", both, flags)


def test_rates_of_several_groups_are_loaded_into_as_many():
    model = network()
    muon, adamw = saved_apart(model)
    names = adamw["param_groups"][1]["param_names"]
    lines: Any = [("rest", named(name), {"lr": 0.1}) for name in names]
    route = [("hidden", named("[24].weight")), *lines, ("rest", everything)]
    ours = Composite(model, hidden=Muon(), rest=AdamW(), route=route)
    ours.load_state_dict([muon, adamw])
    assert [group["lr"] for group in ours.param_groups] == [1e-3, 0.5, 1e-3]
