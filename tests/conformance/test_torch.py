"""The trajectories of `torch.optim`, over every keyword that it has, and every two together."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch

import schuss
from tests.conformance.trajectories import ON, Training, distance, trajectory
from tests.covers import combinations, in_turn

# Both compute in float64, in another order: 100 steps of rounding errors of 1e-16.
TOLERANCE = 1e-12

PAIRS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "SGD": (schuss.SGD, torch.optim.SGD, {}),
    "Adam": (schuss.Adam, torch.optim.Adam, {}),
    "AdamW": (schuss.AdamW, torch.optim.AdamW, {}),
    "AMSGrad": (schuss.AMSGrad, torch.optim.Adam, {"amsgrad": True}),
    "NAdam": (schuss.NAdam, torch.optim.NAdam, {}),
    "RAdam": (schuss.RAdam, torch.optim.RAdam, {}),
    "Adagrad": (schuss.Adagrad, torch.optim.Adagrad, {}),
    "Adadelta": (schuss.Adadelta, torch.optim.Adadelta, {}),
    "Adamax": (schuss.Adamax, torch.optim.Adamax, {}),
    "RMSprop": (schuss.RMSprop, torch.optim.RMSprop, {}),
}

COMMON: dict[str, list[Any]] = {
    "weight_decay": [0.0, 0.3],
    "maximize": [False, True],
}
ADAPTIVE: dict[str, list[Any]] = {
    **COMMON,
    "betas": [(0.9, 0.999), (0.0, 0.5)],
    "eps": [1e-8, 1e-2],
}
DECOUPLED: dict[str, list[Any]] = {"decoupled_weight_decay": [False, True]}

KEYWORDS: dict[str, dict[str, list[Any]]] = {
    "SGD": {**COMMON, "momentum": [0.0, 0.9], "dampening": [0.0, 0.2], "nesterov": [False, True]},
    "Adam": {**ADAPTIVE, **DECOUPLED, "amsgrad": [False, True]},
    "AdamW": {**ADAPTIVE, "amsgrad": [False, True]},
    "AMSGrad": {**ADAPTIVE, **DECOUPLED},
    "NAdam": {**ADAPTIVE, **DECOUPLED, "momentum_decay": [0.0, 4e-3, 0.5]},
    "RAdam": {**ADAPTIVE, **DECOUPLED},
    "Adagrad": {
        **COMMON,
        "lr_decay": [0.0, 0.1],
        "initial_accumulator_value": [0.0, 0.1],
        "eps": [1e-10, 1e-2],
    },
    "Adadelta": {**COMMON, "rho": [0.9, 0.5], "eps": [1e-6, 1e-2]},
    "Adamax": ADAPTIVE,
    "RMSprop": {
        **COMMON,
        "alpha": [0.99, 0.5],
        "eps": [1e-8, 1e-2],
        "momentum": [0.0, 0.9],
        "centered": [False, True],
    },
}


def matters(setting: dict[str, Any]) -> bool:
    """Tell whether every keyword of a setting changes what another does, and torch takes them."""
    if setting.get("nesterov") and (not setting["momentum"] or setting["dampening"]):
        return False
    if setting.get("dampening") and not setting["momentum"]:
        return False
    return not setting.get("decoupled_weight_decay") or bool(setting["weight_decay"])


def settings() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, keywords in KEYWORDS.items():
        for values in combinations(
            *keywords.values(), where=lambda *v, of=keywords: matters(dict(zip(of, v, strict=True)))
        ):
            yield name, {"lr": 3e-2, **dict(zip(keywords, values, strict=True))}
        yield name, {"lr": 0.0, "weight_decay": 0.3}


def pair(name: str, setting: dict[str, Any]) -> tuple[Any, Any]:
    ours, theirs, extra = PAIRS[name]
    return partial(ours, **setting), partial(theirs, **setting, **extra)


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize(("case", "engine"), in_turn(settings(), ON), ids=str)
def test_keywords_together_give_the_trajectory_of_torch(case, engine):
    ours, theirs = pair(*case)
    training = Training(second_group={"lr": 1e-2, "weight_decay": 0.1}, scheduled=True)
    expected = trajectory(theirs, training)
    found = trajectory(partial(ours, **ON[engine]), training)
    assert distance(found, expected) <= TOLERANCE


@pytest.mark.parametrize("implementation", ["foreach", "fused"])
@pytest.mark.parametrize("name", PAIRS)
def test_every_implementation_that_torch_has_gives_this_trajectory(name, implementation):
    ours, theirs = pair(name, {"lr": 3e-2, "weight_decay": 0.3})
    if implementation == "fused" and name in ("NAdam", "RAdam", "Adadelta", "Adamax", "RMSprop"):
        implementation = "foreach"  # torch.optim has no fused implementation of these
    expected = trajectory(partial(theirs, **{implementation: True}), Training())
    # torch's foreach and fused kernels keep some scalars in float32.
    assert distance(trajectory(ours, Training()), expected) <= 1e-7


@pytest.fixture
def float64_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("float64_by_default")
@pytest.mark.parametrize("name", PAIRS)
def test_a_default_dtype_of_float64_changes_nothing(name):
    ours, theirs = pair(name, {"lr": 3e-2, "weight_decay": 0.3})
    found = distance(trajectory(ours, Training()), trajectory(theirs, Training()))
    assert found <= TOLERANCE


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("lr", [3e-2, torch.tensor(3e-2, dtype=torch.float64)], ids=type)
@pytest.mark.parametrize("name", PAIRS)
def test_a_learning_rate_may_be_a_tensor(name, lr):
    ours, theirs = pair(name, {"weight_decay": 0.3})
    expected = trajectory(partial(theirs, lr=3e-2), Training(scheduled=True))
    lr = lr.clone() if isinstance(lr, torch.Tensor) else lr  # schedulers write to it
    assert distance(trajectory(partial(ours, lr=lr), Training(scheduled=True)), expected) <= 1e-12


@pytest.mark.parametrize("dtype", [torch.complex128, torch.complex64], ids=str)
@pytest.mark.parametrize("name", PAIRS)
def test_complex_parameters_follow_torch(name, dtype):
    ours, theirs = pair(name, {"lr": 3e-2, "weight_decay": 0.3})
    training = Training(dtype=dtype)
    found = distance(trajectory(ours, training), trajectory(theirs, training))
    # complex64 is pairs of float32, with an epsilon of 1.2e-7, over 100 steps.
    assert found <= (TOLERANCE if dtype is torch.complex128 else 1e-5)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # 100 steps, each of which may round a weight by half an epsilon: 1.2e-7, 7.8e-3, 9.8e-4.
    [(torch.float32, 1e-5), (torch.bfloat16, 5e-2), (torch.float16, 5e-3)],
    ids=str,
)
@pytest.mark.parametrize("name", PAIRS)
def test_lower_precisions_follow_torch_as_far_as_they_can(name, dtype, tolerance):
    ours, theirs = pair(name, {"lr": 3e-2, "weight_decay": 0.3})
    if name in ("Adam", "AdamW", "AMSGrad"):
        # As ours, these kernels compute in float32. SGD's leaves the trajectory in half precision:
        # after 100 steps it is further from a float64 run than that run is from zero.
        theirs = partial(theirs, fused=True)
    training = Training(dtype=dtype)
    assert distance(trajectory(ours, training), trajectory(theirs, training)) <= tolerance


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_saving_and_loading_in_the_middle_changes_nothing(name, amsgrad):
    setting = {"lr": 3e-2, "weight_decay": 0.3}
    ours, _ = pair(
        name, {**setting, "amsgrad": True} if amsgrad and name in ("Adam", "AdamW") else setting
    )
    through = trajectory(ours, Training(scheduled=True))
    interrupted = trajectory(ours, Training(scheduled=True, saved_after=47))
    assert all(torch.equal(a, b) for a, b in zip(interrupted, through, strict=True))


@pytest.mark.parametrize("saved_after", [1, 20, 47])
@pytest.mark.parametrize("name", PAIRS)
def test_a_checkpoint_of_torch_continues_here(name, saved_after):
    ours, theirs = pair(name, {"lr": 3e-2, "weight_decay": 0.3})
    training = Training(scheduled=True, saved_after=saved_after)
    expected = trajectory(theirs, Training(scheduled=True))
    assert distance(trajectory(theirs, training, then=ours), expected) <= TOLERANCE


@pytest.mark.parametrize("saved_after", [1, 20, 47])
@pytest.mark.parametrize("name", PAIRS)
def test_a_checkpoint_of_ours_continues_in_torch(name, saved_after):
    ours, theirs = pair(name, {"lr": 3e-2, "weight_decay": 0.3})
    training = Training(scheduled=True, saved_after=saved_after)
    expected = trajectory(theirs, Training(scheduled=True))
    assert distance(trajectory(ours, training, then=theirs), expected) <= TOLERANCE


# torch counts differentiable steps in a tensor of the default dtype, which float32 would round.
@pytest.mark.usefixtures("float64_by_default")
@pytest.mark.parametrize("name", PAIRS)
def test_autograd_goes_through_differentiable_steps_as_in_torch(name):
    def derivative(create) -> torch.Tensor:
        start = torch.linspace(-1, 1, 6, dtype=torch.float64, requires_grad=True)
        weight = start.clone()
        optimizer = create([weight])
        # torch overwrites, in the second step of these, what the first one's backward needs.
        for _ in range(1 if name in ("AMSGrad", "Adamax") else 3):
            weight.grad = (weight**3).detach() + start  # a gradient with a history
            optimizer.step()
        (derivative,) = torch.autograd.grad(weight.square().sum(), start)
        return derivative

    ours, theirs = pair(name, {"lr": 3e-2, "weight_decay": 0.3, "differentiable": True})
    torch.testing.assert_close(derivative(ours), derivative(theirs), rtol=1e-9, atol=0)


def test_a_checkpoint_of_adam_continues_decoupled_in_adamw_as_in_torch():
    setting = {"lr": 3e-2, "weight_decay": 0.3}
    training = Training(saved_after=20)
    adam = partial(torch.optim.Adam, **setting)
    expected = trajectory(adam, training, then=partial(torch.optim.AdamW, **setting))
    found = trajectory(adam, training, then=partial(schuss.AdamW, **setting))
    assert distance(found, expected) <= TOLERANCE
