"""labml's own nine classes, unmodified, on our base class and with our weight decay."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from types import ModuleType

import labml_nn.optimizers
import pytest
import torch

import schuss
from tests.conformance.trajectories import TOLERANCE, Training, distance, trajectory
from tests.covers import combinations

CLASSES = {
    "adam": "Adam",
    "amsgrad": "AMSGrad",
    "radam": "RAdam",
    "ada_belief": "AdaBelief",
    "adam_warmup": "AdamWarmup",
    "adam_warmup_cosine_decay": "AdamWarmupCosineDecay",
    "noam": "Noam",
    "adam_fp16": "AdamFP16",
    "sophia": "Sophia",
}
OPTIONS: dict[str, dict[str, float]] = {
    "noam": {"lr": 1.0, "warmup": 30},
    "adam_warmup": {"warmup": 30},
    "adam_warmup_cosine_decay": {"warmup": 30, "total_steps": 90},
}


def imported_anew() -> dict[str, ModuleType]:
    """Import labml's modules again, so that they pick up the base classes of today."""
    modules = {}
    for name in CLASSES:
        sys.modules.pop(f"labml_nn.optimizers.{name}", None)
    for name in CLASSES:
        modules[name] = importlib.import_module(f"labml_nn.optimizers.{name}")
    return modules


THEIRS = imported_anew()


@pytest.fixture(scope="module")
def on_our_base():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            labml_nn.optimizers, "GenericAdaptiveOptimizer", schuss.GenericAdaptiveOptimizer
        )
        patch.setattr(labml_nn.optimizers, "WeightDecay", schuss.WeightDecay)
        yield imported_anew()
    for name, module in THEIRS.items():
        sys.modules[f"labml_nn.optimizers.{name}"] = module


def on_engine(create, flag, value):
    """Return a way to create an optimizer whose class knows nothing of engines on one of them."""

    def created(params):
        return create([{**group, flag: value} for group in params])

    return created


DECAYS = {
    "none": (0.0,),
    "decoupled": (0.3,),
    "absolute": (0.01, True, True),
    "added to the gradient": (0.3, False),
}


@pytest.mark.parametrize(
    ("name", "dtype", "decay"),
    combinations(CLASSES, (torch.float64, torch.float32), DECAYS),
    ids=str,
)
def test_their_class_moves_as_on_their_own_base(on_our_base, name, dtype, decay):
    def create(modules, weight_decay):
        cls = getattr(modules[name], CLASSES[name])
        options = {"lr": 3e-2, **OPTIONS.get(name, {})}
        return partial(cls, weight_decay=weight_decay(*DECAYS[decay]), **options)

    training = Training(dtype=dtype, second_group={"lr": 1e-2}, scheduled=True)
    expected = trajectory(create(THEIRS, THEIRS["adam"].WeightDecay), training)
    ours = create(on_our_base, schuss.WeightDecay)
    found = trajectory(on_engine(ours, "foreach", False), training)
    # Not a tolerance: the same operations in the same order.
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert issubclass(getattr(on_our_base[name], CLASSES[name]), schuss.Optimizer)


def knows(name, dtype, engine):
    """Tell whether a class takes a dtype: one is for real numbers of at most single precision."""
    return name != "adam_fp16" or (not dtype.is_complex and dtype is not torch.float64)


@pytest.mark.parametrize(
    ("name", "dtype", "engine"),
    combinations(CLASSES, TOLERANCE, ("foreach", "fused"), where=knows),
    ids=str,
)
def test_their_class_moves_so_on_every_engine(on_our_base, name, dtype, engine):
    options = {"lr": 3e-2, **OPTIONS.get(name, {})}
    create = partial(getattr(on_our_base[name], CLASSES[name]), **options)
    training = Training(dtype=dtype, second_group={"lr": 1e-2}, scheduled=True, saved_after=47)
    expected = trajectory(on_engine(create, "foreach", False), training)
    found = trajectory(on_engine(create, engine, True), training)
    assert distance(found, expected) <= TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_their_adamfp16_trains_half_precision_as_on_their_own_base(on_our_base, dtype):
    training = Training(dtype=dtype)
    expected = trajectory(partial(THEIRS["adam_fp16"].AdamFP16, lr=3e-2), training)
    ours = partial(on_our_base["adam_fp16"].AdamFP16, lr=3e-2)
    found = trajectory(on_engine(ours, "foreach", False), training)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_their_classes_go_through_save_and_load_on_our_base(on_our_base):
    for name, cls in CLASSES.items():
        create = partial(getattr(on_our_base[name], cls), **OPTIONS.get(name, {}))
        through = trajectory(create, Training(dtype=torch.float32))
        interrupted = trajectory(create, Training(dtype=torch.float32, saved_after=47))
        assert all(torch.equal(a, b) for a, b in zip(interrupted, through, strict=True)), name


def test_their_sophia_takes_the_curvature_on_our_base(on_our_base):
    def final(modules) -> torch.Tensor:
        weight = torch.nn.Parameter(torch.linspace(-1, 1, 7))
        optimizer = modules["sophia"].Sophia([weight], lr=1e-2)
        for step in range(30):
            weight.grad = weight.detach().sin()
            if step % 10 == 0:
                optimizer.update_hessian(16)
            optimizer.step()
        return weight.detach()

    assert torch.equal(final(on_our_base), final(THEIRS))
