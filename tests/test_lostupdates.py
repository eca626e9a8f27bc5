"""A warning where the updates of bfloat16 parameters are lost, and none where they are not."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

import schuss
from schuss import lostupdates
from schuss.lostupdates import LOOKED_AT, LostUpdates
from tests.conformance.trajectories import ON
from tests.storage.test_master import CURES


def warned(create: Any, params: list[nn.Parameter], steps: int = 12, **options: Any) -> list[str]:
    """Return what is said while parameters are trained with gradients of one."""
    optimizer = create(params, **options)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(steps):
            for param in params:
                param.grad = torch.ones_like(param) if param.grad is None else param.grad
            optimizer.step()
    return [str(each.message) for each in found]


def ones(*shape: int, dtype: torch.dtype = torch.bfloat16) -> nn.Parameter:
    return nn.Parameter(torch.ones(shape, dtype=dtype))


@pytest.mark.parametrize("engine", ON)
def test_updates_that_are_too_small_for_bfloat16_are_told_once_with_all_ways_out(engine):
    found = warned(schuss.AdamW, [ones(3, 4), ones(5000)], lr=1e-3, **ON[engine], steps=101)
    assert len(found) == 1
    assert found[0].startswith("AdamW: 100% of the numbers of bfloat16 parameters that have a grad")
    assert all(
        f"{key}={value!r}" in found[0] for each in CURES.values() for key, value in each.items()
    )


@pytest.mark.parametrize("cure", CURES)
def test_nothing_is_told_where_nothing_is_lost(cure):
    assert warned(schuss.AdamW, [ones(100)], lr=1e-3, **CURES[cure]) == []
    assert warned(schuss.AdamW, [ones(100)], lr=1e-2) == []  # larger than half of 2**-8
    assert warned(schuss.AdamW, [ones(100, dtype=torch.float32)], lr=1e-7) == []
    assert warned(schuss.AdamW, [ones(100)], lr=0.0) == []


def test_the_group_is_named_and_the_share_is_that_of_numbers_with_a_gradient():
    moving, still = ones(100), ones(100)
    still.grad = torch.tensor([1.0] * 60 + [0.0] * 40, dtype=torch.bfloat16)
    still.data[:15] = 2.0**-10  # which a step of 0.001 moves
    groups: Any = [{"params": [moving], "lr": 0.1}, {"params": [still], "lr": 1e-3}]
    optimizer = schuss.SGD(groups)
    moving.grad = torch.ones_like(moving)
    for _ in range(9):
        optimizer.step()
    with pytest.warns(UserWarning, match=r"75% of .* parameter group 1\)"):
        optimizer.step()


@pytest.mark.parametrize(("lost", "expected"), [(50, 0), (51, 1)])
def test_more_than_half_of_the_numbers_have_to_stay(lost, expected):
    param = ones(100)
    param.data[lost:] = 2.0**-10
    assert len(warned(schuss.SGD, [param], lr=1e-3, steps=10)) == expected


def test_the_largest_models_are_looked_at_in_few_places():
    params = [ones(2, 3)] + [ones(200, 7) for _ in range(150)]
    for param in params:
        param.grad = torch.ones_like(param)
    group = {"params": params, "lr": 0.1, "master_weights": False, "differentiable": False}
    looking = LostUpdates()
    samples = [looking.begin([group]) for _ in range(max(LOOKED_AT))]
    taken = [number for number, each in enumerate(samples, 1) if each is not None]
    assert taken == sorted(LOOKED_AT)
    first = samples[taken[0] - 1] or []
    assert 40 <= len(first) <= lostupdates.PARAMETERS
    assert lostupdates.SAMPLE // 2 <= sum(len(x.before) for x in first) <= lostupdates.SAMPLE


def test_a_held_or_skipped_step_is_no_step_in_which_nothing_moved():
    holding = schuss.Accumulate(5)
    assert warned(schuss.SGD, [ones(10)], lr=0.1, transforms=[holding], steps=49) == []
    param = ones(10)
    param.grad = torch.full_like(param, float("nan"))
    skipping = schuss.SkipNonFinite()
    assert warned(schuss.SGD, [param], lr=0.1, transforms=[skipping], steps=12) == []


def test_the_other_steps_only_count():
    looking: Any = LostUpdates()
    for step in range(1, max(LOOKED_AT) + 1):
        groups: Any = None if step not in LOOKED_AT else []  # which nobody could look at
        assert looking.begin(groups) == groups


def test_a_step_that_autograd_goes_through_is_not_looked_at():
    group = {"params": [ones(10)], "master_weights": False, "differentiable": True}
    looking = LostUpdates()
    assert [looking.begin([group]) for _ in range(10)] == [None] * 9 + [[]]
