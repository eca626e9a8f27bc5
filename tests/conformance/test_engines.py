"""Every optimizer, on every engine, takes the path of the loop."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.storage.precision import HALF
from tests.algorithms import TRACED
from tests.conformance.trajectories import (
    FLAT,
    ON,
    ONE_RATE,
    REAL_ONLY,
    SHAPES,
    TOLERANCE,
    Training,
    distance,
    in_little_time,
    trajectory,
    without_compiler,
)
from tests.covers import combinations, some_of_each

ENGINES = ("foreach", "fused")

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "decay added": {"weight_decay": schuss.WeightDecay(0.3, weight_decouple=False)},
    "decay decoupled": {"weight_decay": schuss.WeightDecay(0.3)},
    "decay absolute": {"weight_decay": schuss.WeightDecay(0.01, absolute=True)},
    "L1 decay": {"weight_decay": schuss.L1Decay(0.3)},
    "maximize": {"maximize": True},
    "master weights": {"master_weights": True},
    "24 bits": {"weight_decay": 0.3, "master_weights": 24},
    "kahan": {"maximize": True, "rounding": "kahan"},
    "stochastic": {"weight_decay": 0.3, "rounding": "stochastic"},
    "decay, maximize, master weights": {
        "weight_decay": 0.3,
        "maximize": True,
        "master_weights": True,
    },
}
OF_THEIR_OWN: dict[str, tuple[str, dict[str, Any]]] = {
    "nesterov": ("sgd", {"momentum": 0.9, "nesterov": True}),
    "dampening": ("sgd", {"momentum": 0.9, "dampening": 0.1}),
    "amsgrad": ("adam", {"amsgrad": True, "optimized_update": True}),
    "tensor lr": ("adam", {"lr": torch.tensor(0.03)}),
    "plain update": ("radam", {"optimized_update": False, "betas": (0.5, 0.9)}),
    "waiting": ("radam", {"degenerated_to_sgd": False}),
    "unrectified amsgrad": ("adabelief", {"rectify": False, "amsgrad": True}),
    "added eps": ("sophia", {"add_eps": True}),
}


@cache
def of_the_loop(name: str, option: str, dtype: torch.dtype) -> list[Tensor]:
    return path(name, option, dtype, "loop")


def path(name: str, option: str, dtype: torch.dtype, engine: str) -> list[Tensor]:
    options = OPTIONS[option] if option in OPTIONS else OF_THEIR_OWN[option][1]
    create = partial(schuss.create_optimizer, name, **{"lr": 3e-2, **options}, **ON[engine])
    training = Training(
        steps=30,
        dtype=dtype,
        second_group=None if name in ONE_RATE else {"lr": 1e-2},
        scheduled=not isinstance(options.get("lr"), Tensor),
        saved_after=14 if engine == "fused" else None,
        shapes=shapes(name),
    )
    return trajectory(create, training)


def shapes(name: str) -> Sequence[Sequence[int]]:
    return FLAT if name == "sm3" else SHAPES


def can_be(name: str, option: str, dtype: torch.dtype) -> bool:
    """Tell whether a combination makes sense."""
    if name == "adamw" and option == "decay added":
        return False  # it is called Adam
    if dtype.is_complex and name in REAL_ONLY:
        return False
    if "rounding" in OPTIONS[option]:
        return dtype is torch.bfloat16
    return "master_weights" not in OPTIONS[option] or dtype in HALF  # they are the weights else


def ways(name: str) -> list[tuple[str, torch.dtype]]:
    """Return the options and precisions with which an optimizer may be run."""
    return [each for each in itertools.product(OPTIONS, TOLERANCE) if can_be(name, *each)]


GRID = [
    *((*each, "foreach") for each in some_of_each({name: ways(name) for name in TRACED}, 5)),
    *((*each, "fused") for each in some_of_each({name: ways(name) for name in TRACED}, 1)),
    *(
        (OF_THEIR_OWN[option][0], option, dtype, engine)
        for option, dtype, engine in combinations(OF_THEIR_OWN, TOLERANCE, ENGINES)
    ),
]


@pytest.mark.parametrize(("name", "option", "dtype", "engine"), GRID, ids=str)
def test_an_engine_takes_the_path_of_the_loop(name, option, dtype, engine):
    with in_little_time(name):
        found = path(name, option, dtype, engine)
    assert distance(found, of_the_loop(name, option, dtype)) <= TOLERANCE[dtype]


UNINTERRUPTED = Training(steps=30)


@cache
def uninterrupted(name: str) -> list[Tensor]:
    create = partial(schuss.create_optimizer, name, lr=3e-2, **ON["loop"])
    return trajectory(create, replace(UNINTERRUPTED, shapes=shapes(name)))


@pytest.mark.parametrize(
    ("name", "first", "then"),
    combinations(TRACED, ON, ON, where=lambda name, first, then: first != then),
)
def test_a_checkpoint_of_one_engine_continues_on_another(name, first, then):
    before, after = (
        partial(schuss.create_optimizer, name, lr=3e-2, **ON[engine]) for engine in (first, then)
    )
    training = replace(UNINTERRUPTED, shapes=shapes(name), saved_after=14)
    with without_compiler():
        found = trajectory(before, training, then=after)
    assert distance(found, uninterrupted(name)) <= TOLERANCE[torch.float64]


def spread(*shape: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, dtype=torch.complex128).to(dtype)


LAYOUTS = {
    "contiguous": lambda make: make(2, 3, 4, 4),
    "channels last": lambda make: make(2, 3, 4, 4).to(memory_format=torch.channels_last),
    "transposed": lambda make: make(5, 7).t(),
    "scalar": lambda make: make(),
    "one element": lambda make: make(1, 1, 1),
    "empty": lambda make: make(0, 3),
    "more than a chunk": lambda make: make(40_000),
    "many chunks": lambda make: make(301, 1009),
    "a view into a larger tensor": lambda make: make(100)[10:40],
    "gaps": lambda make: make(4, 6)[:, ::2],
}


@pytest.mark.filterwarnings("ignore:Casting complex values to real:UserWarning")
@pytest.mark.parametrize("strided", [False, True], ids=["", "strided gradients"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_every_layout_takes_the_path_of_the_loop(engine, layout, dtype, strided):
    start = LAYOUTS[layout](partial(spread, dtype=dtype))
    moves = [spread(*start.shape, dtype=dtype) for _ in range(5)]
    ends = []
    for options in ({"foreach": False}, {engine: True}):
        whole = start.clone(memory_format=torch.preserve_format)
        if layout == "gaps":
            whole = torch.zeros(4, 6, dtype=dtype)[:, ::2].copy_(start)
        param = nn.Parameter(whole)
        optimizer = schuss.AdamW([param], lr=0.1, **options)
        storage, strides = param.data_ptr(), param.stride()
        for move in moves:
            param.grad = torch.stack([move, move], -1)[..., 0] if strided else move.clone()
            optimizer.step()
            assert torch.equal(param.grad, move)
        assert (param.data_ptr(), param.stride()) == (storage, strides)
        ends.append(param.detach())
    if start.numel():
        assert distance(ends[1:], ends[:1]) <= TOLERANCE[dtype]


def test_the_path_does_not_depend_on_the_number_of_threads():
    ends = []
    threads = torch.get_num_threads()
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        torch.manual_seed(0)
        param = nn.Parameter(torch.randn(200_003))
        optimizer = schuss.NAdam([param], lr=0.1, fused=True)
        for _ in range(5):
            param.grad = torch.randn(200_003)
            optimizer.step()
        ends.append(param.detach())
    torch.set_num_threads(threads)
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], ends[2])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 0.0])
@pytest.mark.parametrize("name", TRACED)
def test_what_is_not_a_number_goes_where_the_loop_lets_it_go(name, value):
    ends = []
    for options in ({"foreach": False}, {"foreach": True}, {"fused": True}):
        param = nn.Parameter(torch.tensor([1.0, -2.0]))
        optimizer = schuss.create_optimizer(name, [param], weight_decay=0.1, **options)
        for grad in ([value, 1.0], [1.0, 1.0], [0.0, value]):
            param.grad = torch.tensor(grad)
            optimizer.step()
        ends.append(param.detach())
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], equal_nan=True)
