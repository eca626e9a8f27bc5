"""Statistics of rows and columns take the path of the loop, on every engine.

Their kernels take a second each to compile, and are many: one for each way in which dimensions of
one number meet others. So the kernels of all rules are interpreted, in pieces of a few numbers, and
those of some are compiled.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.conformance.matrices import (
    ALONG,
    centering,
    covering,
    factoring,
    flattening,
    following_views,
    one_for_each_output,
    rows_and_columns,
    with_state_from_the_start,
)
from tests.conformance.strangers import Ruled
from tests.conformance.trajectories import distance
from tests.covers import EXHAUSTIVE, combinations
from tests.engines.kernels.interpreted import kernels_interpreted

ENGINES = ("foreach", "fused")
INTERPRETED = "fused, interpreted"

SHAPES = (
    *((7, 5), (5, 5), (3,), ()),
    *((4, 1), (1, 6), (1, 1)),  # one column, one row
    *((2, 3, 5), (4, 2, 3, 3), (6, 5, 1, 1)),  # batches
)
EMPTY = ((0, 3), (3, 0), (2, 0, 3))
MANY_CHUNKS = ((300, 257), (5, 40_000), (20_000, 3), (2, 70, 300), (9_000, 2, 3), (513, 33, 3, 3))

TOLERANCE = {torch.float64: 1e-13, torch.float32: 3e-6, torch.bfloat16: 2e-2}


SOME = {(one_for_each_output, torch.float32)}
SOME_OF_MANY_CHUNKS = {(rule, torch.float64) for rule in (factoring, covering, centering)}
"""Rules and precisions whose kernels are compiled."""


def name_of(value):
    return value.__name__ if callable(value) else str(value)


def ends(rule, shapes, dtype=torch.float64, steps=3, **options):
    """Return parameters and state after some steps."""
    draw = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(shape, generator=draw).to(dtype)) for shape in shapes]
    start = rows_and_columns if rule is with_state_from_the_start else lambda state, param: None
    optimizer = Ruled(params, rule, start, **options)
    for _ in range(steps):
        for param in params:
            param.grad = torch.randn(param.shape, generator=draw).to(dtype)
        grads = [torch.clone(param.grad) for param in params]
        optimizer.step()
        assert all(torch.equal(p.grad, g) for p, g in zip(params, grads, strict=True))
    return params, [optimizer.state[param] for param in params]


def ends_on(engine, rule, shapes, dtype=torch.float64):
    """Return the same on an engine, or where Python interprets the kernels of one."""
    if engine == INTERPRETED:
        with kernels_interpreted():
            return ends(rule, shapes, dtype, fused=True)
    return ends(rule, shapes, dtype, **{engine: True})


def check_alike(ours, theirs, tolerance):
    for param, expected, state, wanted in zip(ours[0], theirs[0], ours[1], theirs[1], strict=True):
        assert state.keys() == wanted.keys()
        pairs = [(param, expected)]
        pairs += [(state[k], v) for k, v in wanted.items() if isinstance(v, torch.Tensor)]
        for one, other in pairs:
            assert one.shape == other.shape
            # The mean of nothing is not a number, on every engine.
            found, right = one.detach().nan_to_num(7.0), other.detach().nan_to_num(7.0)
            if right.any() or found.any():
                assert distance([found], [right]) <= tolerance


def grid(compiled, engines=("foreach", "fused")):
    """Return rules, engines and precisions, and of kernels to compile only those."""
    return combinations(
        ALONG,
        engines,
        TOLERANCE,
        where=lambda rule, engine, dtype: (
            EXHAUSTIVE or engine != "fused" or (rule, dtype) in compiled
        ),
    )


@pytest.mark.parametrize(
    ("rule", "engine", "dtype"), grid(SOME, ("foreach", INTERPRETED, "fused")), ids=name_of
)
def test_statistics_along_dimensions_are_those_of_the_loop(rule, engine, dtype):
    # torch refuses the largest of no numbers, and to see no numbers as a matrix.
    refused = (covering, centering, following_views, flattening)
    shapes = SHAPES if rule in refused else (*SHAPES, *EMPTY)
    expected = ends(rule, shapes, dtype, foreach=False)
    check_alike(ends_on(engine, rule, shapes, dtype), expected, TOLERANCE[dtype])


@pytest.mark.parametrize(("rule", "engine", "dtype"), grid(SOME_OF_MANY_CHUNKS), ids=name_of)
def test_statistics_are_right_over_many_chunks(rule, engine, dtype):
    expected = ends(rule, MANY_CHUNKS, dtype, foreach=False)
    tolerance = 1e-12 if dtype is torch.float64 else TOLERANCE[dtype]
    check_alike(ends_on(engine, rule, MANY_CHUNKS, dtype), expected, tolerance)


@pytest.mark.parametrize(
    ("rule", "shape", "engine"),
    combinations(
        ALONG,
        [(5, 5), (4, 4, 3, 3), (6, 5, 1, 1), (1, 7), (7, 1)],
        ("foreach", "fused" if EXHAUSTIVE else INTERPRETED),
    ),
    ids=name_of,
)
def test_a_single_parameter_leaves_no_doubt_what_is_a_row(rule, shape, engine):
    expected = ends(rule, [shape], foreach=False)
    check_alike(ends_on(engine, rule, [shape]), expected, 1e-13)


LAYOUTS = {
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.mT.contiguous().mT,
    "with gaps": lambda x: torch.stack([x, x], dim=-1)[..., 0],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rule", [factoring, with_state_from_the_start])
def test_rows_are_rows_however_a_parameter_lies_in_memory(rule, engine, layout):
    start = rows_and_columns if rule is with_state_from_the_start else lambda state, param: None
    values = [torch.randn(2, 3, 4, 5, dtype=torch.float64) for _ in range(5)]
    found = []
    for options, arranged in (({"foreach": False}, torch.clone), ({engine: True}, LAYOUTS[layout])):
        param = nn.Parameter(arranged(values[0]))
        optimizer = Ruled([param], rule, start, **options)
        for value in values[1:]:
            param.grad = arranged(value)
            optimizer.step()
        found.append(([param], [optimizer.state[param]]))
    check_alike(found[1], found[0], 1e-13)


def test_parts_that_are_not_of_whole_rows_are_seen_as_whole_tensors():
    def half_of_all(state, group, grad, param):
        param.sub_((grad.reshape(2, -1) - grad.reshape(2, -1).mean(1, keepdim=True)).view_as(param))

    found = []
    for options in ({"fused": True}, {"foreach": False}, {"foreach": True}):
        params = [nn.Parameter(torch.ones(shape)) for shape in ((5, 4), (4, 3), (3, 4))]
        optimizer = Ruled(params, half_of_all, lambda state, param: None, **options)
        for param in params:
            param.grad = torch.arange(float(param.numel())).view_as(param)
        optimizer.step()
        found.append(params)
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


@pytest.mark.parametrize("rule", [factoring, covering, centering])
def test_statistics_do_not_depend_on_the_number_of_threads(rule):
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            found.append(ends(rule, MANY_CHUNKS, fused=True))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        check_alike(other, found[0], 0.0)


@pytest.fixture
def interpreted_kernels():
    with kernels_interpreted():
        yield


@pytest.mark.usefixtures("interpreted_kernels")
def test_a_checkpoint_of_statistics_goes_on_bit_for_bit():
    torch.manual_seed(0)
    params = [nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    grads = [[torch.randn_like(param) for param in params] for _ in range(4)]

    def stepped(optimizer, of_step):
        for param, grad in zip(params, of_step, strict=True):
            param.grad = grad
        optimizer.step()

    optimizer = Ruled(params, factoring, fused=True)
    for of_step in grads[:2]:
        stepped(optimizer, of_step)
    saved = copy.deepcopy(optimizer.state_dict())
    kept = [param.detach().clone() for param in params]
    for of_step in grads[2:]:
        stepped(optimizer, of_step)
    ended = [param.detach().clone() for param in params]
    for param, value in zip(params, kept, strict=True):
        param.data.copy_(value)
    resumed = Ruled(params, factoring, fused=True)
    resumed.load_state_dict(saved)
    for of_step in grads[2:]:
        stepped(resumed, of_step)
    assert all(torch.equal(param, value) for param, value in zip(params, ended, strict=True))
