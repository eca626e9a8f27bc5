from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import schuss
from schuss import schedules
from schuss.schedules import (
    NoamLR,
    WarmupCosineLR,
    WarmupLR,
    WarmupStableDecayLR,
    create_schedule,
    list_schedules,
)


def rates(make, steps: int, lr: float = 1.0) -> list[float]:
    """Return the learning rate of each of the first steps."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_warmup_rises_linearly_and_stays():
    assert rates(lambda o: WarmupLR(o, 4), 6) == [0.25, 0.5, 0.75, 1, 1, 1]
    assert rates(lambda o: WarmupLR(o, 0), 2) == [1, 1]


def test_the_cosine_falls_to_its_floor_and_does_not_rise_again():
    found = rates(lambda o: WarmupCosineLR(o, total_steps=10, warmup=2, min_lr_ratio=0.1), 30)
    assert found[:2] == [0.5, 1.0]
    # Half way: step 6.
    assert found[5] == pytest.approx(0.5)
    assert found[9:] == [0.1] * 21
    assert found[2:] == sorted(found[2:], reverse=True)


def test_noam_peaks_after_the_warmup():
    found = rates(lambda o: NoamLR(o, warmup=4, d_model=16), 16)
    # 16**-0.5 * min(t**-0.5, t / 8)
    assert found[0] == pytest.approx(0.25 / 8)
    assert found[3] == pytest.approx(0.25 / 2) == max(found)
    assert found[15] == pytest.approx(0.25 / 4)


def test_noam_without_warmup_only_falls():
    found = rates(lambda o: NoamLR(o, warmup=0, d_model=1), 4)
    assert found == pytest.approx([1, 2**-0.5, 3**-0.5, 0.5])


@pytest.mark.parametrize(
    ("shape", "decay"),
    # 1 - p, and 1 - sqrt(p), for p = 1/4, 1/2, 3/4, 1
    [
        ("linear", [0.75, 0.5, 0.25, 0.0]),
        ("sqrt", [0.5, 1 - math.sqrt(0.5), 1 - math.sqrt(0.75), 0]),
    ],
)
def test_warmup_stable_decay_has_three_phases(shape, decay):
    found = rates(lambda o: WarmupStableDecayLR(o, 10, 4, warmup=2, shape=shape), 12)
    assert found == pytest.approx([0.5, 1, 1, 1, 1, 1, *decay, 0, 0])


@pytest.mark.parametrize("name", list_schedules())
def test_a_schedule_saved_and_loaded_in_the_middle_goes_on(name):
    options = {"warmup": 3} if name == "warmup" else {}
    optimizer = schuss.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = create_schedule(name, optimizer, total_steps=20, **options)
    for _ in range(7):
        optimizer.step()
        scheduler.step()
    other = schuss.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    resumed = create_schedule(name, other, total_steps=20, **options)
    resumed.load_state_dict(scheduler.state_dict())
    other.load_state_dict(optimizer.state_dict())
    for _ in range(7):
        assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
        for each in (optimizer, scheduler, other, resumed):
            each.step()


def test_schedules_go_with_those_of_torch_and_with_groups():
    params = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": params[0]}, {"params": params[1], "lr": 10.0}]
    optimizer = schuss.AdamW(groups, lr=1.0)
    scheduler = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [WarmupLR(optimizer, 2), torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)],
        [2],
    )
    found = []
    for _ in range(4):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    assert found == [[0.5, 5.0], [1.0, 10.0], [1.0, 10.0], [0.5, 5.0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: WarmupLR(o, -1), "warmup value: -1; warmup must be a whole number, at least 0"),
        (lambda o: WarmupLR(o, 2.5), "warmup value: 2.5; warmup must be a whole number"),
        (lambda o: WarmupCosineLR(o, -1), "total_steps must be a whole number, at least 0"),
        (lambda o: WarmupCosineLR(o, 9, min_lr_ratio=-0.1), "min_lr_ratio must be at least 0"),
        (lambda o: NoamLR(o, d_model=0), "d_model must be a whole number, at least 1"),
        (lambda o: WarmupStableDecayLR(o, 10, -1), "decay_steps must be a whole number"),
        (lambda o: WarmupStableDecayLR(o, 10, 6, warmup=5), "do not fit into total_steps = 10"),
        (
            lambda o: WarmupStableDecayLR(o, 10, shape="round"),
            "'round'; shape must be 'linear' or 'sqrt'",
        ),
        (lambda o: create_schedule("cosin", o, total_steps=1), "no schedule 'cosin'; there are"),
    ],
)
def test_arguments_outside_their_domain_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        rates(make, 1)


@pytest.mark.parametrize("argument", ["5", None, True])
def test_a_length_that_is_no_number_is_refused(argument):
    for make in (WarmupLR, WarmupCosineLR, NoamLR, WarmupStableDecayLR):
        with pytest.raises(TypeError, match="must be a whole number, at least 0"):
            rates(lambda o, make=make: make(o, argument), 1)


@pytest.mark.parametrize("shape", ["linear", "sqrt"])
def test_every_schedule_is_defined_for_all_lengths(shape):
    for total in (0, 1, 2, 3, 4, 5, 9):
        for warmup in range(total + 1):
            decays = (None, *range(total - warmup + 1))
            makes = [
                lambda o, w=warmup, t=total: WarmupCosineLR(o, t, w, min_lr_ratio=0.25),
                *(
                    lambda o, w=warmup, t=total, d=d: WarmupStableDecayLR(o, t, d, w, 0.25, shape)
                    for d in decays
                    if warmup + (total // 5 if d is None else d) <= total
                ),
            ]
            for make in makes:
                found = rates(make, total + 3)
                # Up in steps of 1 / warmup, and the floor is reached by the step after the last.
                assert found[:warmup] == pytest.approx([t / warmup for t in range(1, warmup + 1)])
                assert all(0 < rate <= 1 for rate in found)
                assert found[total:] == pytest.approx([0.25] * 3)
            noam = rates(lambda o, w=warmup: NoamLR(o, w), total + 3)
            assert all(0 < rate <= 1 for rate in noam)


def test_an_option_that_a_schedule_does_not_have_is_refused():
    with pytest.raises(TypeError, match="schedule 'noam': .*'total'"):
        rates(lambda o: create_schedule("noam", o, total_steps=9, total=1), 1)


# The presets: Adam with a schedule of its own


def path(make, steps: int = 12, late: int = 0) -> list[float]:
    param = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer, scheduler = make(param)
    visited = []
    for step in range(steps):
        param.grad = param.detach() ** 2 if step >= late else None
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        visited.append(param.item())
    return visited


DECAY: dict[str, Any] = {"weight_decay": 0.3, "decoupled_weight_decay": True}

PRESETS = {
    "warmup": (
        lambda p: schuss.AdamWarmup([p], lr=0.1, warmup=5, **DECAY),
        lambda o: WarmupLR(o, 5),
    ),
    "cosine": (
        lambda p: schuss.AdamWarmupCosineDecay([p], lr=0.1, warmup=5, total_steps=9, **DECAY),
        lambda o: WarmupCosineLR(o, 9, warmup=5),
    ),
    "noam": (
        lambda p: schuss.Noam([p], lr=0.1, warmup=5, d_model=4, **DECAY),
        lambda o: NoamLR(o, warmup=5, d_model=4),
    ),
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_adam_with_the_scheduler_its_decay_included(name):
    preset, schedule = PRESETS[name]

    def adam(param):
        optimizer = schuss.Adam([param], lr=0.1, **DECAY)
        return optimizer, schedule(optimizer)

    assert path(lambda p: (preset(p), None)) == pytest.approx(path(adam), rel=1e-14)


@pytest.mark.parametrize("name", PRESETS)
def test_a_parameter_that_joins_late_gets_the_schedule_from_its_start(name):
    preset, _ = PRESETS[name]
    late = path(lambda p: (preset(p), None), late=4)
    assert late[:4] == [1.0] * 4
    assert late[4:] == path(lambda p: (preset(p), None))[:8]


def test_the_presets_accept_what_labmls_could_not():
    param = nn.Parameter(torch.ones(1))
    param.grad = torch.ones(1)
    schuss.Noam([param], warmup=0).step()
    assert math.isfinite(param.item())
    # labml's rate is back at 97 % of its start after twice the steps.
    assert schedules.warmup_cosine(200, 0, 100) == 0.1


@pytest.mark.parametrize("step", [0, -3])
def test_what_comes_before_the_first_step_counts_as_the_first(step: int) -> None:
    for schedule in (
        partial(schedules.warmup, warmup_steps=4),
        partial(schedules.warmup_cosine, warmup_steps=4, total_steps=9),
        partial(schedules.noam, warmup_steps=0),
        partial(schedules.noam, warmup_steps=4),
        partial(schedules.warmup_stable_decay, warmup_steps=4, total_steps=9, decay_steps=2),
    ):
        assert schedule(step) == schedule(1) > 0


def test_a_floor_that_is_a_tensor_leaves_rates_numbers() -> None:
    for made in (schedules.WarmupCosineLR, schedules.WarmupStableDecayLR):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        floor: Any = torch.tensor(0.5)
        scheduler = made(optimizer, total_steps=1, min_lr_ratio=floor)
        optimizer.step()
        scheduler.step()
        assert optimizer.param_groups[0]["lr"] == 0.25
        assert type(optimizer.param_groups[0]["lr"]) is float
