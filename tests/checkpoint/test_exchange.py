"""A run that `torch.optim` goes on with, and one of `torch.optim` that goes on here."""

from __future__ import annotations

import inspect
import io

import pytest
import torch
from torch import nn

import schuss
from tests.algorithms import fitting

TABLE = [
    ("Adadelta", {"weight_decay": 0.1}),
    ("Adafactor", {}),
    ("Adagrad", {"lr_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"amsgrad": True}),
    ("Adamax", {}),
    ("ASGD", {"t0": 3, "lambd": 0.1}),
    ("Muon", {}),
    ("Muon", {"adjust_lr_fn": "match_rms_adamw", "nesterov": False}),
    ("NAdam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("RAdam", {}),
    ("RMSprop", {}),
    ("RMSprop", {"centered": True, "momentum": 0.9}),
    ("Rprop", {}),
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
]
"""Each optimizer that is here and in torch.optim, with options that decide what it keeps."""
BOTH_WAYS = pytest.mark.parametrize(("there", "here"), [("torch", "ours"), ("ours", "torch")])
# Both compute in float64, in another order: 12 steps of rounding errors of 1e-16.
TOLERANCE = 1e-13


@pytest.fixture
def float64_by_default():
    """Let torch.optim keep its numbers in float64 too: ASGD's rate, NAdam's product."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def created(where, name, params, options):
    cls = getattr(schuss if where == "ours" else torch.optim, name)
    if where == "ours" and name == "Muon":  # the products that torch makes
        options = {**options, "form": "ordinary"}
    on_the_loop = {"foreach": False} if "foreach" in inspect.signature(cls).parameters else {}
    return cls(params, **on_the_loop, **options)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def walk(optimizer, steps, seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for param in optimizer.param_groups[0]["params"]:
            param.grad = torch.randn(param.shape, generator=generator, dtype=param.dtype)
        optimizer.step()


def start(name):
    shapes = ((3, 2), (4,), ())
    starts = [torch.full(shape, 0.5, dtype=torch.float64) for shape in shapes]
    return [nn.Parameter(fitting(getattr(schuss, name), each)) for each in starts]


@pytest.mark.usefixtures("float64_by_default")
@BOTH_WAYS
@pytest.mark.parametrize(("name", "options"), TABLE, ids=str)
def test_a_run_goes_on_elsewhere_as_it_would_have_where_it_began(name, options, there, here):
    first = created(there, name, start(name), options)
    walk(first, 6, seed=1)
    buffer = io.BytesIO()
    torch.save((first.state_dict(), [p.detach() for p in first.param_groups[0]["params"]]), buffer)
    buffer.seek(0)
    saved, weights = torch.load(buffer, weights_only=True)
    second = created(here, name, [nn.Parameter(weight) for weight in weights], options)
    second.load_state_dict(saved)
    for optimizer in (first, second):
        walk(optimizer, 6, seed=2)
    states = [o.state_dict()["state"] for o in (first, second)]
    for number in range(3):
        ours, theirs = (state.get(number, {}) for state in states)
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            close(torch.as_tensor(value), torch.as_tensor(theirs[key]))
    for ours, theirs in zip(*(o.param_groups[0]["params"] for o in (first, second)), strict=True):
        close(ours, theirs)


@pytest.mark.parametrize(("name", "options"), TABLE, ids=str)
def test_a_group_has_every_hyperparameter_that_torchs_has(name, options):
    ours, theirs = (created(where, name, start(name), options) for where in ("ours", "torch"))
    assert theirs.param_groups[0].keys() <= ours.param_groups[0].keys()


def test_every_optimizer_that_is_in_torch_too_is_in_the_table():
    shared = {info.cls.__name__ for info in schuss.list_optimizers()} & set(dir(torch.optim))
    assert shared == {name for name, _ in TABLE}
