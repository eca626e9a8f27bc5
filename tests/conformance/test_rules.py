"""Rules of strangers take the path of the loop, on every engine."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

import schuss
from tests.conformance.strangers import ELEMENTWISE, REDUCING, Ruled
from tests.conformance.trajectories import Training, distance, trajectory
from tests.covers import combinations

ENGINES = ("foreach", "fused")


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rule", [*ELEMENTWISE, *REDUCING], ids=lambda rule: rule.__name__)
def test_rules_written_every_which_way_take_the_path_of_the_loop(rule, engine):
    training = Training(steps=20)
    expected = trajectory(partial(Ruled, rule=rule, foreach=False), training)
    found = trajectory(partial(Ruled, rule=rule, **{engine: True}), training)
    assert distance(found, expected) <= 1e-13


@pytest.mark.parametrize(
    ("rule", "engine", "dtype"),
    combinations(REDUCING, ENGINES, (torch.float32, torch.bfloat16)),
    ids=lambda value: value.__name__ if callable(value) else str(value),
)
def test_reductions_are_right_over_many_chunks_and_over_nothing(rule, engine, dtype):
    ends = []
    for options in ({"foreach": False}, {engine: True}):
        draw = torch.Generator().manual_seed(0)
        params = [
            nn.Parameter(torch.randn(shape, generator=draw).to(dtype))
            for shape in [(40_000,), (0, 3), (3,), (129, 257)]
        ]
        optimizer = Ruled(params, rule, **options)
        for _ in range(4):
            for param in params:
                param.grad = torch.randn(param.shape, generator=draw).to(dtype)
            grads = [torch.clone(param.grad) for param in params]
            optimizer.step()
            assert all(torch.equal(p.grad, g) for p, g in zip(params, grads, strict=True))
        ends.append([torch.cat([param.detach().flatten() for param in params])])
    tolerance = 1e-6 if dtype is torch.float32 else 1e-3
    assert distance(ends[1], ends[0]) <= tolerance


def drawing(state, group, grad, param):
    param.copy_(torch.rand_like(param))
    state["normal"] = torch.randn_like(param)


def drawn(threads: int | None = None, **options) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return uniform and normal draws of two steps for two parameters, after one seed."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    torch.manual_seed(5)
    params = [nn.Parameter(torch.zeros(n, dtype=torch.float64)) for n in (300_000, 200_000)]
    optimizer = Ruled(params, drawing, **options)
    uniform, normal = [], []
    for _ in range(2):
        for param in params:
            param.grad = torch.ones_like(param)
        optimizer.step()
        uniform += [param.detach().clone() for param in params]
        normal += [optimizer.state[param]["normal"].clone() for param in params]
    torch.set_num_threads(before)
    return uniform, normal


@pytest.mark.parametrize("engine", ENGINES)
def test_draws_are_those_of_the_seed_whatever_the_number_of_threads(engine):
    first = drawn(1, **{engine: True})
    for threads in (2, 3):
        again = drawn(threads, **{engine: True})
        for ours, theirs in zip((*first[0], *first[1]), (*again[0], *again[1]), strict=True):
            assert torch.equal(ours, theirs)
    # Another step and another parameter have other numbers.
    heads = [sample[:200_000] for sample in first[0]]
    correlations = torch.corrcoef(torch.stack(heads)) - torch.eye(4)
    assert correlations.abs().max() < 0.02


@pytest.mark.parametrize("engine", ENGINES)
def test_draws_follow_their_distribution(engine):
    uniform, normal = (torch.cat(samples).sort().values for samples in drawn(**{engine: True}))
    expected = torch.arange(1, len(uniform) + 1) / len(uniform)
    # Kolmogorov's bound for a probability of error of 1e-6.
    bound = 2.7 / len(uniform) ** 0.5
    assert (uniform - expected).abs().max() < bound
    assert uniform[0] >= 0
    assert uniform[-1] < 1
    assert (torch.special.ndtr(normal) - expected).abs().max() < bound
    assert torch.isfinite(normal).all()


def test_sophia_takes_the_curvature_on_every_engine():
    ends = []
    for options in ({"foreach": False}, {"foreach": True}, {"fused": True}):
        param = nn.Parameter(torch.linspace(-1, 1, 9))
        optimizer = schuss.Sophia([param], lr=0.01, **options)
        for step in range(20):
            param.grad = (param.detach() * (step + 1)).sin()
            if step % 5 == 0:
                optimizer.update_hessian(16)
            optimizer.step()
        ends.append(param.detach())
    torch.testing.assert_close(ends[1], ends[0])
    torch.testing.assert_close(ends[2], ends[0])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_key_of_the_state_may_be_any_text(engine):
    keys = ("a b", "a.b", "a_b", "x = 1\n", "for", "")

    def rule(state, group, grad, param):
        for number, key in enumerate(keys):
            state[key] = state.get(key, grad) * 0.5 + number
            param.sub_(state[key])

    training = Training(steps=5)
    expected = trajectory(partial(Ruled, rule=rule, foreach=False), training)
    found = trajectory(partial(Ruled, rule=rule, **{engine: True}), training)
    assert distance(found, expected) <= 1e-13


def test_the_name_of_an_optimizer_says_nothing_about_its_numbers():
    class Float64(schuss.SGD):
        """Steps float32 parameters of more than a chunk all the same."""

    param = nn.Parameter(torch.ones(40_000))
    param.grad = torch.ones_like(param)
    Float64([param], lr=0.25, fused=True).step()
    assert (param == 0.75).all()
