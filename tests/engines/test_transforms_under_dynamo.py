"""Steps with transforms under `torch.compile`: one graph, or one break where the host decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo.exc import Unsupported
from torch._dynamo.utils import counters

import schuss
from schuss import SAM, SGD, Accumulate, ClipByGlobalNorm, Lookahead, Optimizer, SkipNonFinite
from tests.covers import EXHAUSTIVE
from tests.engines.test_under_dynamo import Walk, assert_agree, eager, programs

pytestmark = pytest.mark.filterwarnings(
    r"ignore:Detected call of `lr_scheduler.step\(\)` before"  # as the wrapper is passed by
)

STEPS = 12  # as in `eager`
TRACED: dict[str, Callable[[], list[schuss.Transform]]] = {
    "clip by value": lambda: [schuss.ClipByValue(0.1)],
    "clip by norm": lambda: [schuss.ClipByNorm(0.1)],
    "clip by global norm": lambda: [ClipByGlobalNorm(0.1)],
    "clip adaptively": lambda: [schuss.ClipAdaptive()],
    "clip updates": lambda: [schuss.ClipUpdate(0.5)],
    "centralize": lambda: [schuss.GradientCentralization()],
    "cautious": lambda: [schuss.Cautious()],
    "decay cautiously": lambda: [schuss.CautiousDecay(0.1)],
    "decay to start": lambda: [schuss.DecayToStart(0.1)],
    "trust ratio": lambda: [schuss.TrustRatio()],
    "hyperball": lambda: [schuss.Hyperball()],
    "clip no heads": lambda: [schuss.QKClip()],
    "orthogonal": lambda: [schuss.OrthogonalGradient()],
    "grokfast": lambda: [schuss.Grokfast()],
    "lookahead": lambda: [Lookahead(3)],
    "mean": lambda: [schuss.EMA(0.9, ema_warmup=True)],
    "clip twice, look ahead": lambda: [schuss.ClipByNorm(1.0), ClipByGlobalNorm(1.0), Lookahead(5)],
}
DECIDED: dict[str, Callable[[Any], Optimizer]] = {
    "prodigy": lambda params: schuss.Prodigy(params, d0=0.01),
    "d-adaptation": lambda params: schuss.DAdaptAdam(params, d0=0.01),
    "dog": schuss.DoG,
    "accumulate": lambda params: SGD(params, lr=0.1, transforms=[Accumulate(5)]),
    "project": lambda params: SGD(params, lr=0.1, momentum=0.9, transforms=[schuss.GaLore(2, 5)]),
    "project at random": lambda params: SGD(params, lr=0.1, transforms=[schuss.APOLLO(2, 5)]),
    "skip": lambda params: SGD(params, lr=0.1, transforms=[SkipNonFinite()]),
}


@pytest.fixture(autouse=True)
def _nothing_compiled() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def take_without_recompiling(walk: Walk, step: Callable[[], None], after: int) -> None:
    walk.take(step, after)
    with torch._dynamo.config.patch(error_on_recompile=True):
        walk.take(step, STEPS - after)


@pytest.mark.parametrize("name", TRACED)
def test_a_step_with_any_transform_is_one_graph(name: str) -> None:
    def create(params: list[nn.Parameter]) -> Optimizer:
        # On the loop where it is not compiled, to be told apart from that alone, and soon.
        return schuss.AdamW(params, lr=0.01, foreach=False, transforms=TRACED[name]())

    walk = Walk(create)
    # The learning rate takes another program when it first changes.
    take_without_recompiling(walk, walk.compiled(backend="eager"), after=2)
    assert programs() == 2
    assert_agree(walk, eager(create))


@pytest.mark.parametrize("name", DECIDED)
def test_a_step_that_the_host_decides_is_none_and_says_so(name: str) -> None:
    walk = Walk(DECIDED[name])
    with pytest.raises(Unsupported, match="the host decides something in this step"):
        walk.take(walk.compiled(backend="eager"), 1)


@pytest.mark.parametrize("name", DECIDED)
def test_around_a_step_that_the_host_decides_nothing_is_compiled_anew(name: str) -> None:
    walk = Walk(DECIDED[name])
    take_without_recompiling(walk, walk.compiled(backend="eager", fullgraph=False), after=1)
    assert programs() == 0
    assert_agree(walk, eager(DECIDED[name]))


NOW_AND_THEN: dict[str, Callable[[Any], Optimizer]] = {
    "splus": lambda params: schuss.SPlus(params, inverse_every=3),
    "soap": lambda params: schuss.SOAP(params, precondition_frequency=3),
    "shampoo": lambda params: schuss.Shampoo(params, precondition_frequency=3),
}
"""Rules that change a basis every few steps: an `if` on the step breaks the graph there."""


@pytest.mark.skipif(not EXHAUSTIVE, reason="takes seconds, for a program between any two breaks")
@pytest.mark.parametrize("name", NOW_AND_THEN)
def test_what_is_done_every_few_steps_is_not_compiled_anew_each_time(name: str) -> None:
    walk, expected = (Walk(NOW_AND_THEN[name], torch.float64, [(3, 3)]) for _ in range(2))
    # The first step, the next ones, and the first that changes the basis take programs.
    take_without_recompiling(walk, walk.compiled(backend="eager", fullgraph=False), after=5)
    expected.take(expected.step, STEPS)
    assert_agree(walk, expected, tolerance=1e-12)


def test_a_step_with_state_in_codes_is_no_graph_and_is_compiled_twice_at_most() -> None:
    def create(params: Any) -> Optimizer:
        return SGD(params, lr=0.1, momentum=0.9, state_storage={"*": "int8"})

    walk = Walk(create)
    with pytest.raises(Unsupported, match="the host decides something in this step"):
        walk.take(walk.compiled(backend="eager"), 1)
    # Groups are looked at in the graph, which takes a number for a constant when it is first seen.
    walk = Walk(create)
    take_without_recompiling(walk, walk.compiled(backend="eager", fullgraph=False), after=2)
    assert_agree(walk, eager(create))


def test_a_compiled_step_with_a_gradient_that_is_not_finite_is_skipped() -> None:
    weight = nn.Parameter(torch.zeros(2))
    optimizer = SGD([weight], lr=1.0, transforms=[SkipNonFinite()])
    step = torch.compile(optimizer.step, backend="eager")
    for value in (1.0, float("nan"), 2.0):
        weight.grad = torch.full((2,), value)
        step()
    assert weight.tolist() == [-3.0, -3.0]


def test_a_compiled_step_in_which_a_scaler_found_an_infinity_is_skipped() -> None:
    weight = nn.Parameter(torch.zeros(2))
    optimizer = SGD([weight], lr=1.0, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    step = torch.compile(lambda: scaler.step(optimizer), backend="eager")
    for value in (1.0, float("inf"), 2.0):
        weight.grad = None
        scaler.scale((weight * value).sum()).backward()
        step()
        scaler.update()
    assert weight.tolist() == [-3.0, -3.0]


def test_sharpness_is_looked_for_outside_of_the_graph() -> None:
    ends = []
    for compiled in (False, True):
        weight = nn.Parameter(torch.tensor([1.0, -2.0]))
        optimizer = SGD([weight], lr=0.1, transforms=[SAM(0.5)])

        def closure(weight: nn.Parameter = weight) -> float:
            weight.grad = None
            loss = weight.pow(4).sum()
            loss.backward()
            return loss.item()

        def train(optimizer: Optimizer = optimizer, closure: Any = closure) -> None:
            optimizer.step(closure)

        step = torch.compile(train, backend="eager") if compiled else train
        for _ in range(3):
            step()
        ends.append(weight.detach())
    assert torch.equal(*ends)
