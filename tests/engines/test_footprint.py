"""The memory of an optimizer, told before it is used and measured afterwards."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

import schuss
from schuss import EMA, SGD, Accumulate, AdamW, ClipByGlobalNorm, Composite
from schuss.engines.allocations import peak_of
from tests.algorithms import EVERY, MATRIX_SHAPES, OF_MATRICES


def parameters(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    params = [nn.Parameter(torch.randn(shape).to(dtype)) for shape in shapes]
    for param in params:
        param.grad = torch.randn(param.shape).to(dtype)
    return params


def assert_told_before(optimizer: schuss.Optimizer) -> None:
    """Assert that what is predicted before a step is what is measured after two."""
    before = optimizer.memory()
    assert before.all_state.measured == 0
    for _ in range(2):
        optimizer.step()
    after = optimizer.memory()
    assert {key: amount.measured for key, amount in after.state.items()} == {
        key: amount.predicted for key, amount in before.state.items()
    }
    assert after.gradients == after.parameters
    assert after.gradients.predicted == after.gradients.measured


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", EVERY)
def test_the_state_of_every_optimizer_is_told_before_the_first_step(name, dtype):
    [info] = schuss.list_optimizers(name)
    make: Any = info.cls
    shapes = MATRIX_SHAPES if name in OF_MATRICES else ((5,), *MATRIX_SHAPES)
    params = parameters(*shapes, dtype=dtype)
    assert_told_before(make(params, foreach=False))


OPTIONS: dict[str, Any] = {
    "amsgrad": lambda params: AdamW(params, amsgrad=True),
    "momentum": lambda params: SGD(params, lr=0.1, momentum=0.9),
    "master weights": lambda params: AdamW(params, master_weights=True),
    "a norm": lambda params: AdamW(params, transforms=[EMA(0.9), ClipByGlobalNorm(1.0)]),
    "accumulation": lambda params: SGD(params, transforms=[Accumulate(1)]),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options_and_transforms_are_told_too(option):
    assert_told_before(OPTIONS[option](parameters((5,), (4, 4), dtype=torch.bfloat16)))


MAKING = {"adopt": {}, "mars": {}, "sgd": {"momentum": 0.9}, "sm3": {"momentum": 0.9}}
"""Optimizers that make state in their first step, with options for it."""


@pytest.mark.parametrize("name", MAKING)
def test_state_that_a_step_makes_is_told_as_the_next_one_keeps_it(name):
    options: Any = MAKING[name]
    params = parameters((64, 100), (5,))
    assert_told_before(
        schuss.create_optimizer(name, params, state_storage={"*": "int8"}, **options)
    )


@pytest.mark.parametrize(("storage", "bytes_a_number"), [("bf16", 2), ("8bit", 1 + 2 / 32)])
def test_state_that_is_kept_in_fewer_bytes_is_told_as_it_is_kept(storage, bytes_a_number):
    optimizer = AdamW(parameters((64, 100), (5,)), state_storage=storage)
    assert optimizer.memory().state["exp_avg"].predicted == 6400 * bytes_a_number + 20
    assert_told_before(optimizer)


def test_a_composite_tells_the_state_of_its_parts():
    groups = [
        {"params": parameters((4, 4)), "algorithm": "hidden"},
        {"params": parameters((5,)), "algorithm": "rest"},
    ]
    optimizer = Composite(groups, hidden=schuss.Muon(lr=0.1), rest=AdamW())
    assert_told_before(optimizer)
    state = optimizer.memory().state
    assert state["momentum_buffer"].predicted == 64
    assert state["exp_avg"].predicted == 20


def test_it_changes_nothing_and_allocates_nothing():
    with torch.device("meta"):
        params = [nn.Parameter(torch.empty(1 << 20, 1 << 20))]
    optimizer = AdamW(params)
    before = torch.get_rng_state()
    memory = optimizer.memory()
    assert memory.all_state.predicted == 2 * 4 * 2**40
    assert memory.parameters.measured == 0
    assert not optimizer.state
    assert torch.equal(torch.get_rng_state(), before)


def test_gradients_are_of_parameters_that_may_have_some():
    one, two = parameters((5,), (3,))
    two.grad = None
    two.requires_grad = False
    memory = AdamW([one, two]).memory()
    assert memory.gradients == (20, 20)
    assert memory.state["exp_avg"].predicted == 20
    assert memory.parameters == (32, 32)
    one.grad = None
    assert AdamW([one, two]).memory().gradients == (20, 0)


class OfMatrices(schuss.Optimizer):
    """A rule that no program can express, and that stacks can run."""

    def update(self, state, group, grad, param):
        product = grad @ grad.mT @ grad
        product[:1] = 0.0
        return product


IN_CODES: Any = {"state_storage": "8bit"}

# Sizes beside which tensors of one number, which are counted too, are nothing.
SCRATCH: dict[str, tuple[Any, Any]] = {
    "loop": (lambda p: AdamW(p, foreach=False), [(300, 100), (100,)]),
    "foreach": (lambda p: AdamW(p, foreach=True), [(300, 100), (100,)]),
    "foreach, in half precision": (lambda p: AdamW(p, foreach=True), [(300, 100)]),
    "foreach, in pieces": (lambda p: schuss.LAMB(p, foreach=True), [(1 << 18,)] * 5),
    "foreach, in codes": (lambda p: AdamW(p, foreach=True, **IN_CODES), [(300, 600), (300, 100)]),
    "foreach, whole matrices": (lambda p: schuss.Muon(p, foreach=True), [(64, 64)] * 3),
    "foreach, whole matrices in codes": (
        lambda p: schuss.SOAP(p, foreach=True, **IN_CODES),
        [(64, 64)] * 3,
    ),
    "fused, whole matrices": (schuss.Muon, [(64, 64)] * 3 + [(300, 100)]),
    "fused, whole matrices in chunks": (schuss.Muon, [(64, 64)] * 70),
    "fused, whole matrices in codes": (lambda p: schuss.SOAP(p, **IN_CODES), [(64, 64)] * 3),
    "loop, in codes": (lambda p: AdamW(p, foreach=False, **IN_CODES), [(300, 600)]),
    "fused, factors": (schuss.Shampoo, [(64, 32)] * 3),
    "loop, factors": (lambda p: schuss.Shampoo(p, foreach=False), [(64, 32)] * 3),
}


@pytest.mark.parametrize("case", SCRATCH)
def test_what_functions_of_torch_allocate_in_a_step_is_told_before_it(case):
    make, shapes = SCRATCH[case]
    dtype = torch.bfloat16 if "half" in case else torch.float32
    optimizer = make(parameters(*shapes, dtype=dtype))
    told = optimizer.memory()
    assert told.engines == (case.split(",")[0],)
    for _ in range(2):
        optimizer.step()
    assert told.scratch == pytest.approx(peak_of(optimizer.step), rel=0.02)


def test_stacks_are_told_before_a_step():
    optimizer = OfMatrices(parameters(*[(50, 20)] * 9), defaults={"lr": 0.1})
    told = optimizer.memory()
    assert told.engines == ("stacked",)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizer.step()
        assert told.scratch == pytest.approx(peak_of(optimizer.step), rel=0.02)


@pytest.mark.parametrize(("make", "shapes"), [(AdamW, [(999,)] * 9), (schuss.CAME, [(99, 2000)])])
def test_what_kernels_keep_from_pass_to_pass_is_told_before_a_step(make, shapes):
    optimizer = make(parameters(*shapes))
    told = optimizer.memory().scratch
    optimizer.step()
    optimizer.step()
    [known] = optimizer._engine._known
    launches = [launch for b in known.bound._bindings for _, launch in b._launches.values()]
    kept = sum(
        array.nbytes
        for launch in launches
        for array in (*launch._own, launch.partials, launch.totals, launch.addresses)
    )
    assert told == pytest.approx(kept + sum(x.table.entries.nbytes for x in launches), rel=0.02)


class Reading(schuss.Optimizer):
    """A rule that reads the value of a tensor."""

    def init_state(self, state, group, param):
        state["kept"] = torch.zeros_like(param)

    def update(self, state, group, grad, param):
        return grad if float(grad.sum()) > 0 else -grad


def test_a_rule_that_reads_values_does_not_tell_what_a_step_takes():
    with torch.device("meta"):
        params = [nn.Parameter(torch.empty(5))]
    memory = Reading(params, defaults={"lr": 0.1}).memory()
    assert memory.scratch is None
    assert memory.state["kept"].predicted == 20
    assert "scratch of a step (loop)   not known\n" in str(memory)


def test_the_table():
    optimizer = AdamW(parameters((100, 50), (50,)), foreach=False)
    optimizer.step()
    optimizer.zero_grad()
    assert str(optimizer.memory()) == EXPECTED


EXPECTED = """\
AdamW, 2 parameters, 5,050 numbers

                           predicted    a number         now
parameters                  20.20 kB      4.00 B    20.20 kB
gradients                   20.20 kB      4.00 B         0 B
  the largest one           20.00 kB      3.96 B
state                       40.40 kB      8.00 B    40.40 kB
  exp_avg                   20.20 kB      4.00 B    20.20 kB
  exp_avg_sq                20.20 kB      4.00 B    20.20 kB
scratch of a step (loop)    80.00 kB     15.84 B
most in a step             160.80 kB     31.84 B"""
