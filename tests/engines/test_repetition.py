"""Steps that are taken again with the kernels of the step before, and when they are not."""

from __future__ import annotations

import math
import signal
import weakref

import pytest
import torch
from torch import nn

import schuss
from schuss.engines.kernels.fused import FusedBatch
from schuss.engines.repetition import Repetition
from schuss.transforms import ClipByNorm

SHAPES = [(3, 4), (5,), (2, 2)]


def made(cls=schuss.AdamW, dtype=torch.float32, **options):
    generator = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in SHAPES]
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.02}]
    return cls(groups, lr=0.01, **options), params


def give_gradients(params, number):
    generator = torch.Generator().manual_seed(number)
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator).to(param.dtype)


@pytest.fixture
def plans(monkeypatch):
    """The rules that were planned, in place of being repeated."""
    found = []
    plan = FusedBatch.plan

    def noted(self, work, group):
        found.append(work.rule)
        return plan(self, work, group)

    monkeypatch.setattr(FusedBatch, "plan", noted)
    return found


def both(cls=schuss.AdamW, edit=None, steps=10, **options):
    """Return the ends of two trainings, the one on the loop; `edit` comes before each step."""
    ends = []
    for engine in ({}, {"foreach": False}):
        optimizer, params = made(cls, **options, **engine)
        for number in range(steps):
            give_gradients(params, number)
            if edit is not None:
                edit(optimizer, params, number)
            optimizer.step()
        ends.append(torch.cat([param.detach().flatten() for param in params]))
    return ends


def schedule(optimizer, _, number):
    for group in optimizer.param_groups:
        group["lr"] = 0.01 * (1 + math.cos(number))


def test_steps_are_repeated_from_the_fourth_on_also_with_a_schedule(plans):
    optimizer, params = made()
    planned = []
    for number in range(8):
        give_gradients(params, number)
        schedule(optimizer, params, number)
        plans.clear()
        optimizer.step()
        planned.append(len(plans))
    assert planned[3:] == [0] * 5
    assert planned[1] > 0
    assert optimizer.state[params[0]]["step"] == 8


@pytest.mark.parametrize("cls", [schuss.AdamW, schuss.SGD, schuss.Lion, schuss.RAdam, schuss.LAMB])
@pytest.mark.parametrize("edit", [None, schedule])
def test_repeated_steps_are_those_of_the_loop(cls, edit):
    torch.testing.assert_close(*both(cls, edit), rtol=1e-6, atol=1e-7)


def without_one(optimizer, params, number):
    if number in (4, 5, 7):
        params[number % 3].grad = None


def maximizing(optimizer, params, number):
    optimizer.param_groups[1]["maximize"] = number in (5, 6)


def decayed(optimizer, params, number):
    optimizer.param_groups[0]["weight_decay"] = 0.1 * (number > 5)


def other_gradients(optimizer, params, number):
    if number == 5:
        params[0].grad = params[0].grad.t().contiguous().t()
    if number == 6:
        params[1].grad = torch.stack([params[1].grad] * 2, dim=1)[:, 0]


def changed_weights(optimizer, params, number):
    if number == 5:
        params[0].data = params[0].data.clone().mul_(2)
    if number == 7:
        with torch.no_grad():
            params[2].zero_()


def changed_state(optimizer, params, number):
    if number == 5:
        optimizer.state[params[0]]["exp_avg"].mul_(3)
    if number == 7:
        optimizer.state[params[2]]["step"] = 2


def moved_parameter(optimizer, params, number):
    first, second = optimizer.param_groups
    if number == 5:
        second["params"].append(first["params"].pop())
    if number == 8:
        first["params"] = [*first["params"]]


def other_groups(optimizer, params, number):
    if number == 5:
        optimizer.param_groups.reverse()
    if number == 7:
        optimizer.param_groups[0] = {**optimizer.param_groups[0], "lr": 0.5}


def other_method(optimizer, params, number):
    if number == 6:
        optimizer.get_lr = lambda state, group: group["lr"] * 3
    if number == 8:
        del optimizer.get_lr


def scaled(optimizer, params, number):
    for name in ("grad_scale", "found_inf"):
        if hasattr(optimizer, name):
            delattr(optimizer, name)
    if number in (5, 6):
        optimizer.grad_scale, optimizer.found_inf = torch.tensor(4.0), torch.tensor(number - 5.0)


@pytest.mark.parametrize(
    "edit",
    [
        without_one,
        maximizing,
        decayed,
        other_gradients,
        changed_weights,
        changed_state,
        moved_parameter,
        other_groups,
        other_method,
        scaled,
    ],
)
def test_whatever_else_changes_is_noticed(edit):
    torch.testing.assert_close(*both(schuss.AdamW, edit), rtol=1e-6, atol=1e-7)
    fused, _ = both(schuss.AdamW, edit)
    unedited, _ = both(schuss.AdamW)
    assert torch.equal(fused, unedited) == (edit is other_gradients)


def test_a_class_whose_method_is_replaced_is_noticed(monkeypatch):
    optimizer, params = made(schuss.SGD)
    for number in range(5):
        give_gradients(params, number)
        optimizer.step()
    before = params[0].detach().clone()
    monkeypatch.setattr(schuss.SGD, "update", lambda self, state, group, grad, param: grad * 0)
    optimizer.step()
    assert torch.equal(params[0], before)


def test_versions_are_raised_and_gradients_let_go():
    optimizer, params = made()
    for number in range(6):
        give_gradients(params, number)
        versions = [param._version for param in params]
        optimizer.step()
        assert [param._version - v for param, v in zip(params, versions, strict=True)] == [1] * 3
    gone = weakref.ref(params[0].grad)
    params[0].grad = None
    assert gone() is None


def test_transforms_and_closures_take_their_part_in_every_step():
    def closed(optimizer, params, number):
        seen = []

        def closure():
            seen.append(number)
            return 0.5

        assert optimizer.step(closure) == 0.5
        assert seen == [number]

    torch.testing.assert_close(*both(edit=closed), rtol=1e-6, atol=1e-7)
    clipped = {"transforms": [ClipByNorm(0.1)]}
    torch.testing.assert_close(*both(schuss.SGD, **clipped), rtol=1e-6, atol=1e-7)


def test_a_signal_within_a_repeated_step_leaves_it_whole(monkeypatch):
    optimizer, params = made()
    for number in range(5):
        give_gradients(params, number)
        optimizer.step()
    count, before = 5, params[0].detach().clone()
    finish = Repetition.finish

    def interrupted(self):
        signal.raise_signal(signal.SIGINT)
        finish(self)

    monkeypatch.setattr(Repetition, "finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        optimizer.step()
    monkeypatch.undo()
    assert not torch.equal(params[0], before)
    assert optimizer.state[params[0]]["step"] == count + 1


class Noisy(schuss.SGD):
    traced_once = True

    def update(self, state, group, grad, param):
        return grad + torch.rand_like(grad)


def test_steps_with_random_numbers_are_planned(plans):
    optimizer, params = made(Noisy)
    for number in range(6):
        give_gradients(params, number)
        plans.clear()
        optimizer.step()
    assert plans  # a step that begins as a repetition, and has to be planned, would draw twice


def test_a_step_that_was_cut_off_before_its_kernels_ran_was_not_taken(monkeypatch):
    optimizer, params = made()
    for number in range(5):
        give_gradients(params, number)
        optimizer.step()
    before = params[0].detach().clone()

    def interrupted(self, skip=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(Repetition, "take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        optimizer.step()
    monkeypatch.undo()
    assert torch.equal(params[0], before)
    assert optimizer.state[params[0]]["step"] == 5


def test_a_cohort_that_is_none_any_more_is_not_repeated():
    optimizer, params = made()
    for number in range(5):
        give_gradients(params, number)
        optimizer.step()
    (cohort, *_) = [
        cohort for bound in optimizer._engine._known.bound() for cohort in bound.cohorts
    ]
    cohort.is_broken = True
    optimizer.step()
    assert cohort not in [each for b in optimizer._engine._known.bound() for each in b.cohorts]


def test_versions_of_state_that_nobody_sees_are_raised_once_for_all_steps():
    optimizer, params = made()
    for number in range(20):
        give_gradients(params, number)
        optimizer.step()
    assert optimizer.state[params[0]]["exp_avg"]._version < 8
