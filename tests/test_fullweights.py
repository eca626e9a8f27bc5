"""Weights in full: out of a model in half precision and its optimizer, and into both."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from tests.conformance.trajectories import ON
from tests.covers import combinations
from tests.storage.test_master import CURES

LOST = {"exact": 0.0, "24 bits": 2.0**-16, "kahan": 2.0**-16, "stochastic": 2.0**-7}
"""What each cure may lose of a weight, relative to it."""


class Model(nn.Module):
    """A model with shared weights, a frozen parameter, one in float32, and buffers."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        numbers = [torch.randn(4, 4, generator=generator) for _ in range(4)]
        self.first = nn.Linear(4, 4, bias=False)
        self.last = nn.Linear(4, 4, bias=False)
        self.frozen = nn.Parameter(numbers[1].to(dtype), requires_grad=False)
        self.first.weight = nn.Parameter(numbers[0].to(dtype))
        self.last.weight = self.first.weight
        self.scale = nn.Parameter(numbers[2])
        self.register_buffer("mean", numbers[3].to(dtype))
        self.register_buffer("count", torch.tensor(3))

    def trainable(self) -> list[nn.Parameter]:
        return [param for param in self.parameters() if param.requires_grad]


def step(optimizer: torch.optim.Optimizer, steps: int = 3, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for group in optimizer.param_groups:
            for param in group["params"]:
                param.grad = torch.randn(param.shape, generator=generator).bfloat16().to(param)
        optimizer.step()


def trained(cure: str, steps: int = 3, **options: Any) -> tuple[Model, schuss.Optimizer]:
    model = Model(torch.bfloat16)
    optimizer = schuss.AdamW(model.trainable(), lr=1e-2, **CURES[cure], **options)
    step(optimizer, steps)
    return model, optimizer


def assert_near(found: Tensor, expected: Tensor, lost: float) -> None:
    assert found.dtype is torch.float32
    assert ((found - expected).abs() <= lost * expected.abs()).all()


@pytest.mark.parametrize(("cure", "engine"), combinations(CURES, ON))
def test_a_model_comes_out_in_float32_with_all_of_its_weights(cure, engine):
    model, optimizer = trained(cure, **ON[engine])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = optimizer.float32_state_dict(model)
    assert found.keys() == before.keys()
    weight = optimizer.master(model.first.weight)
    assert torch.equal(found["first.weight"], weight)
    assert torch.equal(found["last.weight"], weight)
    assert_near(weight, model.first.weight.float(), 2.0**-8)
    assert torch.equal(weight, model.first.weight.float()) == (cure == "stochastic")
    for name in ("frozen", "mean"):
        assert found[name].dtype is torch.float32
        assert torch.equal(found[name], before[name].float())
    assert found["scale"].data_ptr() == model.scale.data_ptr()  # no copy, as in torch
    assert found["count"].dtype is torch.int64
    assert not any(value.requires_grad for value in found.values())
    for name, value in model.state_dict().items():  # nothing has been changed
        assert torch.equal(value, before[name])
    Model(torch.float32).load_state_dict(found)


@pytest.mark.parametrize(("cure", "begun"), combinations(CURES, [False, True]))
def test_a_model_in_float32_fills_parameters_and_what_they_cannot_hold(cure, begun):
    full = Model(torch.float32)
    step(schuss.AdamW(full.trainable(), lr=1e-2), seed=2)
    model, optimizer = trained(cure, steps=3 if begun else 0)
    found = optimizer.load_float32_state_dict(model, full.state_dict())
    assert (found.missing_keys, found.unexpected_keys) == ([], [])
    assert_near(optimizer.master(model.first.weight), full.first.weight, LOST[cure])
    assert torch.equal(model.scale, full.scale)
    assert torch.equal(model.get_buffer("mean"), full.get_buffer("mean").bfloat16())
    step(optimizer, 1)
    moved = (optimizer.master(model.first.weight) - full.first.weight).abs().max().item()
    assert 0 < moved <= 0.02 + 2.0**-6  # one step, and a rounding


@pytest.mark.parametrize("engine", ON)
def test_a_training_goes_on_from_a_float32_model_as_one_in_float32(engine):
    full = Model(torch.float32)
    step(schuss.AdamW(full.trainable(), lr=1e-2), seed=2)
    model, optimizer = trained("exact", steps=0, **ON[engine])
    optimizer.load_float32_state_dict(model, full.state_dict())
    expected = schuss.AdamW(full.trainable(), lr=1e-2, **ON[engine])
    step(expected)
    step(optimizer)
    assert torch.equal(optimizer.master(model.first.weight), full.first.weight)


def test_a_sequence_beside_the_weights_begins_at_the_weight_in_full():
    model = Model(torch.bfloat16)
    optimizer = schuss.SGDScheduleFree(model.trainable(), master_weights=True)
    full = Model(torch.float32)
    with torch.no_grad():
        full.first.weight.mul_(1 + 2.0**-12)
    optimizer.load_float32_state_dict(model, full.state_dict())
    assert torch.equal(optimizer.state[model.first.weight]["z"], full.first.weight)


@pytest.mark.parametrize("engine", ON)
def test_while_evaluating_the_model_holds_the_weights_to_evaluate_with(engine):
    model, optimizer = trained("exact", transforms=[schuss.EMA(0.9)], **ON[engine])
    weight = optimizer.master(model.first.weight)
    with optimizer.evaluating():
        found = optimizer.float32_state_dict(model)
        assert torch.equal(found["first.weight"], model.first.weight.float())
        assert not torch.equal(found["first.weight"], weight)
        assert torch.equal(optimizer.master(model.first.weight), weight)
        with pytest.raises(RuntimeError, match="AdamW cannot load weights while evaluating"):
            optimizer.load_float32_state_dict(model, found)
    assert torch.equal(optimizer.master(model.first.weight), weight)


def test_keys_that_only_one_side_has_are_torch_s_concern():
    model, optimizer = trained("exact")
    saved = optimizer.float32_state_dict(model)
    weight = optimizer.master(model.first.weight)
    missing = {k: v * 2 for k, v in saved.items() if not k.endswith("weight")}
    with pytest.raises(RuntimeError, match="Missing key"):
        optimizer.load_float32_state_dict(model, missing)
    found = optimizer.load_float32_state_dict(model, {**missing, "else": weight}, strict=False)
    assert found.unexpected_keys == ["else"]
    assert torch.equal(optimizer.master(model.first.weight), weight)


def test_the_weight_of_a_parameter_in_full_precision_is_a_copy_of_it():
    model, optimizer = trained("exact")
    found = optimizer.master(model.scale)
    assert torch.equal(found, model.scale)
    found.zero_()
    assert model.scale.abs().min() > 0
    with pytest.raises(ValueError, match=r"AdamW has no such parameter, of shape \(4, 4\)"):
        optimizer.master(model.frozen)


def test_a_parameter_that_was_never_stepped_is_its_weight():
    model, optimizer = trained("exact", steps=0)
    assert torch.equal(optimizer.master(model.first.weight), model.first.weight.float())
    assert not optimizer.state


def test_float16_and_a_copy_of_the_optimizer_have_their_masters_too():
    model = Model(torch.float16)
    optimizer = schuss.SGD(model.trainable(), lr=2.0**-14, master_weights=True)
    step(optimizer)
    weight = optimizer.master(model.first.weight)
    assert not torch.equal(weight, model.first.weight.float())
    both = copy.deepcopy((model, optimizer))
    assert torch.equal(both[1].master(both[0].first.weight), weight)
    optimizer.load_float32_state_dict(model, {"first.weight": weight * 2}, strict=False)
    assert torch.equal(optimizer.master(model.first.weight), weight * 2)
    step(optimizer, 1)
    assert (optimizer.master(model.first.weight) - weight * 2).abs().max() < 2.0**-10
