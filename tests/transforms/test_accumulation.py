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


def test_bad_numbers_are_refused():
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    with pytest.raises(ValueError, match="Invalid accumulate_every value: 0"):
        Accumulate(0)
    groups = [{"params": weights[0]}, {"params": weights[1], "accumulate_every": 3}]
    optimizer = schuss.SGD(groups, transforms=[Accumulate(2)])
    with pytest.raises(ValueError, match=r"accumulate_every \[2, 3\]; it must be the same"):
        optimizer.step()
    with pytest.raises(ValueError, match="a gradient that is held back cannot be taken anew"):
        schuss.SGD(weights, transforms=[Accumulate(2), SAM()])
