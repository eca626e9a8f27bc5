"""Checkpoints of which one value is not what it was: refused as a whole, or taken as it is."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

import schuss
from tests.checkpoint.trained import snapshot, train, trained

CLASSES = {info.name: info.cls for info in schuss.list_optimizers()}
ON = {"amsgrad": True, "momentum": 0.9, "centered": True}
"""Options with which an optimizer keeps more."""
AROUND = {
    "no": (),
    "averaging": (schuss.EMA(), schuss.Lookahead(), schuss.Grokfast()),
    "noisy": (schuss.GradientNoise(), schuss.Accumulate(2), schuss.ClipByGlobalNorm(1.0)),
}
"""Transforms, some with state of their own."""


def with_all_state(name, around="no"):
    """Return an optimizer that keeps all it can, on the loop."""
    cls = CLASSES[name]
    taken = inspect.signature(cls).parameters
    options = {"foreach": False, **{key: value for key, value in ON.items() if key in taken}}
    try:
        return trained(cls, transforms=AROUND[around], **options)
    except TypeError:  # it writes its own step, in which no transform could change the update
        return trained(cls, **options)


NUMBERS = [7, np.float32(3), torch.tensor(2), torch.ones(1), -5, 1.5, float("nan"), float("inf")]
OTHERS: list[Any] = [
    "x",
    None,
    [],
    {},
    True,
    object,
    torch.ones(2),
    torch.tensor(1j),
    torch.ones(4, 3, 2),
]


def replacements(value):
    """Return what to put in place of a value; a few of it are as good as the value."""
    if not isinstance(value, torch.Tensor):
        return NUMBERS + OTHERS
    other_forms = [value.reshape(1, *value.shape), value.flatten().repeat(3), value.to_sparse()]
    other_kinds = [value.to(dtype) for dtype in (torch.int64, torch.complex64, torch.bool)]
    good = [value.double(), value * float("nan")]
    return NUMBERS + OTHERS + other_forms + other_kinds + good + [value.to("meta")]


def same(loaded, saved):
    """Tell whether a value is the saved one, whatever holds it."""
    if saved is None or isinstance(saved, str):
        return loaded == saved
    found, expected = (torch.as_tensor(x).to_dense().double() for x in (loaded, saved))
    return torch.allclose(found, expected.reshape(found.shape), rtol=0, atol=0, equal_nan=True)


@given(data=st.data())
@settings(max_examples=120)
def test_a_damaged_checkpoint_is_loaded_as_it_is_or_refused_and_nothing_changed(data):
    around = data.draw(st.sampled_from(sorted(AROUND)))
    optimizer = with_all_state(data.draw(st.sampled_from(sorted(CLASSES))), around)
    saved = copy.deepcopy(optimizer.state_dict())
    number = data.draw(st.sampled_from([0, 1]))
    state = saved["state"].get(number) or {"none": 1.0}
    key = data.draw(st.sampled_from(sorted(state)))
    if data.draw(st.booleans()):
        state[key] = data.draw(st.sampled_from(replacements(state[key])))
    else:
        del state[key]
    train(optimizer)
    before, refusal = snapshot(optimizer), ""
    try:
        optimizer.load_state_dict(saved)
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert f"parameter {number} of shape" in refusal
        assert snapshot(optimizer) == before
    else:
        loaded = optimizer.state[optimizer.param_groups[0]["params"][number]]
        kept = {k: value for k, value in state.items() if value is not None}
        assert all(same(loaded[k], value) for k, value in kept.items())
        train(optimizer)


@given(data=st.data())
@settings(max_examples=60)
def test_a_damaged_group_is_loaded_or_refused_and_nothing_changed(data):
    optimizer = with_all_state(data.draw(st.sampled_from(sorted(CLASSES))))
    saved = copy.deepcopy(optimizer.state_dict())
    (group,) = saved["param_groups"]
    key = data.draw(st.sampled_from(sorted(group.keys() - {"params"})))
    if data.draw(st.booleans()):
        group[key] = data.draw(st.sampled_from(NUMBERS + OTHERS + [(0.5,) * 4]))
    else:
        del group[key]
    train(optimizer)
    before, refusal = snapshot(optimizer), ""
    try:
        optimizer.load_state_dict(saved)
    except (ValueError, TypeError) as error:
        refusal = str(error)
    if refusal:
        assert "group 0" in refusal
        assert snapshot(optimizer) == before
    else:
        train(optimizer)


MADE_IN_A_STEP = [
    ("sgd", "momentum_buffer"),
    ("adam", "max_exp_avg_sq"),
    ("adopt", "exp_avg_sq"),
    ("ldog", "distance"),
    ("novograd", "exp_avg_sq"),
    ("adahessian", "hessian"),
]


@pytest.mark.parametrize(("name", "key"), MADE_IN_A_STEP)
@pytest.mark.parametrize("shape", [(5,), (1, 3, 2), (3, 2, 1)], ids=str)
def test_the_shape_of_what_a_rule_makes_in_a_step_is_checked(name, key, shape):
    optimizer = with_all_state(name)
    if name == "adahessian":
        optimizer.set_hessian([torch.ones_like(p) for p in optimizer.param_groups[0]["params"]])
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][0][key] = torch.ones(shape)
    before = snapshot(optimizer)
    with pytest.raises(ValueError, match=rf"'{key}'.* of parameter 0 of shape \(3, 2\) .* shape"):
        optimizer.load_state_dict(saved)
    assert snapshot(optimizer) == before


def test_a_number_for_each_weight_is_not_taken_for_one_of_all():
    optimizer = with_all_state("ldog")
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][0]["distance"] = torch.ones(3, 2)
    with pytest.raises(
        ValueError, match=r"'distance' .* must be a floating-point tensor of shape \(\)"
    ):
        optimizer.load_state_dict(saved)


@pytest.mark.parametrize(
    "step",
    ["x", None, -5, float("nan"), [], float("inf"), 1.5, True, torch.ones(2), "7", 1j],
    ids=str,
)
def test_a_step_count_is_a_whole_number_that_is_not_negative(step):
    optimizer = with_all_state("adam")
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][1]["step"] = step
    before = snapshot(optimizer)
    with pytest.raises(ValueError, match="'step' of parameter 1 .* a whole number of at least 0"):
        optimizer.load_state_dict(saved)
    assert snapshot(optimizer) == before


def test_state_from_which_no_step_can_be_taken_is_refused():
    optimizer = with_all_state("ldog")
    saved = copy.deepcopy(optimizer.state_dict())
    del saved["state"][1]["squares"]
    with pytest.raises(
        ValueError, match=r"cannot take a step .*parameter 1 .*KeyError\('squares'\)"
    ):
        optimizer.load_state_dict(saved)


def test_neither_numbers_nor_weights_change_if_what_was_trained_is_refused():
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = schuss.SGD([weight], lr=0.5, transforms=[schuss.EMA(0.5)])
    train(optimizer)
    with optimizer.evaluating():
        saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][0].update(trained_param=torch.ones(99), ema_step=77.0)
    before = snapshot(optimizer)
    with pytest.raises(ValueError, match=r"'trained_param' of parameter 0 .* of shape \(99,\)"):
        optimizer.load_state_dict(saved)
    assert snapshot(optimizer) == before


def test_a_subclass_that_refuses_what_was_loaded_leaves_everything_as_it_was():
    class Strict(schuss.SGD):
        def __setstate__(self, state):
            super().__setstate__(state)
            if any(group["lr"] > 1 for group in self.param_groups):
                raise RuntimeError("too fast")

    optimizer = trained(Strict, momentum=0.9)
    before = snapshot(optimizer)
    with pytest.raises(RuntimeError, match="too fast"):
        optimizer.load_state_dict(trained(schuss.SGD, steps=5, lr=2.0, momentum=0.9).state_dict())
    assert snapshot(optimizer) == before
