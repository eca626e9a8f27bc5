"""Checkpoints in files, which are read without running what is in them, on any engine."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch

import schuss
from tests.algorithms import EVERY, TRACED
from tests.checkpoint.trained import snapshot, train, trained

CLASSES = {info.name: info.cls for info in schuss.list_optimizers()}
SHAPES = ((3, 2), (4, 4))
LOOP, LISTS = {"foreach": False}, {"foreach": True}


def through_a_file(checkpoint: Any) -> Any:
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize(
    ("name", "saving", "loading"),
    [
        *((name, LOOP, LOOP) for name in EVERY),
        *((name, LISTS, LOOP) for name in TRACED[::2]),
        *((name, LOOP, LISTS) for name in TRACED[1::2]),
        *((name, {}, LOOP) for name in ("adamw", "lion", "adafactor")),
        *((name, LOOP, {}) for name in ("adamw", "lion", "adafactor")),
    ],
    ids=str,
)
def test_a_file_holds_all_that_an_optimizer_goes_on_from_whatever_its_engine(name, saving, loading):
    first = trained(CLASSES[name], shapes=SHAPES, **saving)
    saved = through_a_file(first.state_dict())
    second = trained(CLASSES[name], steps=0, shapes=SHAPES, **loading)
    with torch.no_grad():
        for param, there in zip(
            *(o.param_groups[0]["params"] for o in (second, first)), strict=True
        ):
            param.copy_(there)
    second.load_state_dict(saved)
    # A parameter without state has an empty one, or none.
    states = [[state for state in snapshot(o)[1] if state] for o in (first, second)]
    assert states[0] == states[1]
    assert {k: v for k, v in snapshot(second)[2][0].items() if k not in ("foreach", "fused")} == {
        k: v for k, v in snapshot(first)[2][0].items() if k not in ("foreach", "fused")
    }
    for one, other in zip(train(first), train(second), strict=True):
        if saving == loading and name != "psgdkron":  # which draws numbers
            assert torch.equal(one, other)
        else:
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "transform",
    [
        schuss.EMA(),
        schuss.Lookahead(2),
        schuss.Accumulate(2),
        schuss.Grokfast(),
        schuss.SkipNonFinite(),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_so_do_transforms(transform):
    first = trained(transforms=[transform], foreach=False)
    second = trained(transforms=[transform], foreach=False, steps=0)
    second.load_state_dict(through_a_file(first.state_dict()))
    assert snapshot(second)[1] == snapshot(first)[1]


def test_so_does_a_composite():
    model = torch.nn.Linear(3, 3)
    route = [("hidden", schuss.composite.ndim == 2), ("rest", schuss.composite.everything)]
    optimizer, other = (
        schuss.Composite(
            model, hidden=schuss.SOAP(), rest=schuss.Prodigy(), route=route, foreach=False
        )
        for _ in range(2)
    )
    train(optimizer, 2)
    other.load_state_dict(through_a_file(optimizer.state_dict()))
    assert snapshot(other) == snapshot(optimizer)
