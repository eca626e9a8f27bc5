"""One step for several batches."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import schuss
from schuss import SAM, Accumulate, SkipNonFinite

ENGINES = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


@pytest.mark.parametrize("engine", ENGINES)
def test_it_is_a_step_along_the_mean(engine):
    torch.manual_seed(0)
    grads = torch.randn(12, 5, dtype=torch.float64)
    one = nn.Parameter(torch.ones(5, dtype=torch.float64))
    many = nn.Parameter(torch.ones(5, dtype=torch.float64))
    reference = schuss.AdamW([one], lr=0.1)
    chain = [Accumulate(3)]
    optimizer = schuss.AdamW([many], lr=0.1, transforms=chain, **ENGINES[engine])
    for place, grad in enumerate(grads):
        before = many.detach().clone()
        many.grad = grad.clone()
        optimizer.step()
        if place % 3 == 2:
            one.grad = grads[place - 2 : place + 1].mean(0)
            reference.step()
            torch.testing.assert_close(many, one)
        else:
            assert torch.equal(many, before)
        assert torch.equal(many.grad, grad)


def test_a_parameter_without_a_gradient_in_the_last_batch_moves_along_the_others():
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(3)]
    optimizer = schuss.SGD(weights, lr=1.0, transforms=[Accumulate(2)])
    weights[0].grad, weights[1].grad = torch.tensor([2.0]), torch.tensor([4.0])
    optimizer.step()
    weights[0].grad = None
    optimizer.step()
    assert [weight.item() for weight in weights] == [-1.0, -4.0, 0.0]
    assert weights[0].grad is None


def test_a_checkpoint_within_continues():
    def trained(saved_after: int | None) -> float:
        weight = nn.Parameter(torch.zeros(1))
        optimizer = schuss.AdamW([weight], lr=0.1, transforms=[Accumulate(3)])
        for place in range(6):
            if place == saved_after:
                saved = optimizer.state_dict()
                optimizer = schuss.AdamW([weight], lr=0.1, transforms=[Accumulate(3)])
                optimizer.load_state_dict(saved)
            weight.grad = torch.tensor([1.0 + place])
            optimizer.step()
        return weight.item()

    assert trained(None) == trained(1) == trained(2) == trained(3) != 0


def test_a_step_that_is_skipped_begins_anew():
    weight = nn.Parameter(torch.zeros(1))
    chain = [Accumulate(2), SkipNonFinite()]
    optimizer = schuss.SGD([weight], lr=1.0, transforms=chain)
    for grad in (float("nan"), 1.0, 2.0, 4.0):
        weight.grad = torch.tensor([grad])
        optimizer.step()
    assert weight.item() == -3.0
    assert optimizer.param_groups[0]["skipped_steps"] == 1


class Holding(schuss.Transform):
    def hold(self, state, group, grad, param):
        """Keep nothing."""


def moved(chain, calls, engine: str = "loop", **options) -> list[float]:
    """Return where descent of length 1 ends from zero, with a gradient for each weight and call."""
    weights = [nn.Parameter(torch.zeros(1)) for _ in calls[0]]
    optimizer = schuss.SGD(weights, lr=1.0, transforms=chain, **ENGINES[engine], **options)
    for grads in calls:
        for weight, grad in zip(weights, grads, strict=True):
            weight.grad = None if grad is None else torch.tensor([grad])
        optimizer.step()
    return [weight.item() for weight in weights]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_comes_before_acts_on_each_gradient_and_what_comes_after_on_the_mean(engine):
    clip, calls = schuss.ClipByValue(1.0), [[10.0], [0.0]]
    assert moved([clip, Accumulate(2)], calls, engine) == [-0.5]  # the mean of 1 and 0
    assert moved([Accumulate(2), clip], calls, engine) == [-1.0]  # 5, clipped
    assert moved([clip, Accumulate(2)], [[10.0], [10.0]], engine) == [-1.0]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_global_norm_before_is_that_of_each_call(engine):
    # Of length 5, which is clipped to 1, and of length 0.5, which is not.
    calls = [[3.0, 4.0], [0.3, 0.4]]
    found = moved([schuss.ClipByGlobalNorm(1.0), Accumulate(2)], calls, engine)
    assert found == pytest.approx([-(0.6 + 0.3) / 2, -(0.8 + 0.4) / 2], abs=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_gradient_that_is_refused_before_is_not_held_and_its_call_not_counted(engine):
    for bad in range(3):
        calls = [[1.0, 2.0], [2.0, 4.0]]
        calls.insert(bad, [float("nan"), 8.0])
        found = moved([SkipNonFinite(), Accumulate(2)], calls, engine)
        assert found == [-1.5, -3.0]


def test_the_last_gradient_has_passed_what_comes_before_if_there_was_none_now():
    # 2 and as much of its mean; nothing is added for the call without a gradient.
    chain = [schuss.Grokfast(0.5, 1.0), Accumulate(2)]
    for engine in ENGINES:
        assert moved(chain, [[2.0, 2.0], [None, 2.0]], engine) == [-2.0, -4.0]
        norm = [schuss.ClipByGlobalNorm(100.0), Accumulate(2), schuss.Cautious()]
        assert moved(norm, [[2.0, 2.0], [None, 2.0]], engine) == [-1.0, -2.0]


def test_fewer_calls_from_now_on_are_a_mean_of_all_that_were_held():
    weight = nn.Parameter(torch.zeros(1))
    optimizer = schuss.SGD([weight], lr=1.0, transforms=[Accumulate(8)])
    for call in range(4):
        weight.grad = torch.tensor([float(call)])
        optimizer.param_groups[0]["accumulate_every"] = 8 if call < 3 else 2
        optimizer.step()
    assert weight.item() == -(0 + 1 + 2 + 3) / 4


def test_a_call_in_which_a_scaler_found_an_infinity_is_not_counted():
    weight = nn.Parameter(torch.zeros(1))
    optimizer = schuss.SGD([weight], lr=1.0, transforms=[Accumulate(2)])
    for grad, infinite in ((1.0, 0.0), (float("inf"), 1.0), (3.0, 0.0)):
        weight.grad = torch.tensor([grad])
        optimizer.found_inf = torch.tensor(infinite)  # type: ignore[attr-defined]
        optimizer.step()
    assert weight.item() == -2.0
    assert optimizer.state[weight]["accumulated"].item() == 0.0


def test_an_estimate_is_made_in_steps_and_not_in_calls():
    grads = [1.0, 3.0, 2.0, -0.5]
    weight, other = (nn.Parameter(torch.ones(1, dtype=torch.float64)) for _ in range(2))
    chain = [schuss.ClipByGlobalNorm(100.0), Accumulate(2)]
    optimizer = schuss.Prodigy([weight], d0=0.1, transforms=chain)
    reference = schuss.Prodigy([other], d0=0.1)
    for place, grad in enumerate(grads):
        weight.grad = torch.tensor([grad], dtype=torch.float64)
        optimizer.step()
        if place % 2:
            other.grad = torch.tensor([sum(grads[place - 1 : place + 1]) / 2], dtype=torch.float64)
            reference.step()
    assert weight.item() == pytest.approx(other.item(), rel=1e-12)
    assert optimizer.param_groups[0]["k"] == 2


def test_an_estimate_is_not_made_uphill():
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = schuss.Prodigy([weight], d0=0.1, transforms=[SAM(0.25)])

    def closure() -> float:
        weight.grad = weight.detach().clone()
        return 0.0

    optimizer.step(closure)
    assert optimizer.param_groups[0]["k"] == 1
    assert weight.item() < 1


def test_bad_numbers_are_refused():
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    with pytest.raises(ValueError, match="Invalid accumulate_every value: 0"):
        Accumulate(0)
    groups = [{"params": weights[0]}, {"params": weights[1], "accumulate_every": 3}]
    optimizer = schuss.SGD(groups, transforms=[Accumulate(2)])
    with pytest.raises(ValueError, match=r"accumulate_every \[2, 3\]; it must be the same"):
        optimizer.step()
    with pytest.raises(ValueError, match="which both hold gradients back; an optimizer takes one"):
        schuss.SGD(weights, transforms=[Accumulate(2), Holding()])
    with pytest.raises(ValueError, match="a gradient that is held back cannot be taken anew"):
        schuss.SGD(weights, transforms=[Accumulate(2), SAM()])
