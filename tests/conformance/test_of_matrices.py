"""Every optimizer of matrices, on its engine and after a checkpoint, takes the path of the loop."""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial
from typing import TypeAlias

import pytest
import torch
from torch import Tensor, nn

import schuss
from tests.algorithms import FOR_STACKS, OF_MATRICES
from tests.conformance.trajectories import (
    ON,
    TOLERANCE,
    Training,
    distance,
    in_little_time,
    trajectory,
    without_compiler,
)
from tests.covers import combinations, in_turn
from tests.engines.stacked.only import only_stacks

SHAPES = ((4, 4), (3, 6), (5, 2))
SQUARES = ((4, 4), (3, 3), (5, 5))
"""For first bases that are determined: a longer side has eigenvalues of 0 after one gradient."""
IN_BASES = ("klshampoo", "soap", "splus")
FEWEST = 8
"""As many of one shape as make a stack."""

Way: TypeAlias = tuple[str, torch.dtype]
"""A key of `OPTIONS`, and the precision of parameters and gradients."""

OFTEN = {"precondition_frequency": 3, "inverse_every": 3}
EXACT = {"precision": "float32"}


def create(name: str, params, **options) -> schuss.Optimizer:
    """Return an optimizer that computes exactly, and changes its bases often."""
    own = schuss.list_optimizers(name)[0].cls.hypers
    given = {key: value for key, value in {**OFTEN, **EXACT}.items() if key in own}
    # An eigenvalue of 0 is divided by eps, and rounded by as much.
    given |= {"eps": 1e-3} if name == "shampoo" else {}
    return schuss.create_optimizer(name, params, **{"lr": 3e-2, **given, **options})


def moved(name: str, way: Way, engine: str) -> list[Tensor]:
    option, dtype = way
    generator = torch.Generator().manual_seed(0)
    params = [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype))
        for shape in (SQUARES if name in IN_BASES else SHAPES)
        for _ in range(FEWEST)
    ]
    optimizer = create(name, params, **OPTIONS[option], **ON.get(engine, {}))
    with only_stacks() if engine == "stacked" else nullcontext():
        for _ in range(8):
            for param in params:
                grad = torch.randn(param.shape, generator=generator, dtype=torch.float64)
                param.grad = grad.to(dtype)
            optimizer.step()
    return [param.detach() for param in params]


OPTIONS: dict[str, dict[str, object]] = {
    "plain": {},
    "decay, maximize": {"weight_decay": 0.3, "maximize": True},
    "transforms": {"transforms": (schuss.ClipByGlobalNorm(1.0), schuss.EMA(0.9))},
    "transposed": {"matrices": schuss.matrices.Dims(rows=(1,), cols=(0,))},
}


# A sum that is rounded otherwise is divided by what may be small.
CLOSE = {torch.float64: 1e-10, torch.float32: 1e-4}


WAYS = list(itertools.product(OPTIONS, CLOSE))
CASES = [
    *((*each, "fused") for each in in_turn(OF_MATRICES, WAYS)),
    *((name, (*way,), "foreach") for name, *way in combinations(OF_MATRICES, OPTIONS, CLOSE)),
    *((name, (*way,), "stacked") for name, *way in combinations(FOR_STACKS, OPTIONS, CLOSE)),
]


@pytest.mark.parametrize(("name", "way", "engine"), CASES, ids=str)
def test_an_engine_takes_the_path_of_the_loop(name, way, engine):
    if name == "splus":  # a sign that rounding turns is a whole step
        way = way[0], torch.float64
    close = CLOSE[way[1]]
    # In double precision the text of the kernels is interpreted, in single it is compiled.
    with without_compiler() if way[1] is torch.float64 else nullcontext():
        found = moved(name, way, engine)
    for ours, theirs in zip(found, of_the_loop(name, way), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=close, atol=close)


@cache
def of_the_loop(name: str, way: Way) -> list[Tensor]:
    return moved(name, way, "loop")


@pytest.mark.parametrize("name", OF_MATRICES)
def test_a_checkpoint_continues_as_if_nothing_had_been_saved(name):
    training = Training(steps=12, shapes=((4, 4), (3, 6), (6, 3), (2, 2), (1, 1)), saved_after=7)
    through = Training(steps=12, shapes=training.shapes)
    expected = trajectory(partial(create, name, foreach=False), through)
    assert distance(trajectory(partial(create, name, foreach=False), training), expected) == 0
    assert distance(expected[-1:], expected[:1]) > TOLERANCE[torch.float64]


SWITCHES = list(itertools.permutations(ON, 2))


@pytest.mark.parametrize(("name", "way"), in_turn(OF_MATRICES, SWITCHES), ids=str)
def test_a_checkpoint_of_one_engine_continues_on_another(name, way):
    before, after = (partial(create, name, **ON[engine]) for engine in way)
    shapes = ((4, 4), (3, 3), (5, 5), (2, 2), (1, 1))
    training = Training(steps=12, shapes=shapes, saved_after=7)
    with in_little_time(name):
        found = trajectory(before, training, then=after)
    whole = trajectory(partial(create, name, foreach=False), Training(steps=12, shapes=shapes))
    assert distance(found, whole) <= CLOSE[torch.float64]


def slowing(optimizer: schuss.Optimizer, step: int) -> None:
    """Lower the learning rates, in place where they are tensors."""
    for group in optimizer.param_groups:
        group["lr"] *= 0.75


def slowing_twice(optimizer: schuss.Optimizer, step: int) -> None:
    slowing(optimizer, step)
    slowing(optimizer, step)


ENGINES = ("loop", "foreach", "fused", "stacked")
WITH_TENSORS = [*itertools.product(("muon", "soap"), ENGINES), *in_turn(FOR_STACKS, ENGINES)]


@pytest.mark.parametrize(("name", "engine"), dict.fromkeys(WITH_TENSORS), ids=str)
def test_a_learning_rate_may_be_a_tensor(name, engine):
    training = Training(steps=8, shapes=((4, 4), (3, 3), (2, 2), (4, 4)), before_step=slowing)
    surroundings = only_stacks(fewest=1) if engine == "stacked" else in_little_time(name)
    rate = torch.tensor(3e-2, dtype=torch.float64)
    with surroundings:
        found = trajectory(partial(create, name, lr=rate, **ON.get(engine, {})), training)
    # One tensor is the rate of both groups, and so it is lowered twice in each step.
    training = replace(training, before_step=slowing_twice)
    assert distance(found, trajectory(partial(create, name, foreach=False), training)) <= 1e-10
