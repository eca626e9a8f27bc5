"""What gathers little by little is kept in float32, also beside bfloat16."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

import schuss

ENGINES = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def after(create, values, key: str, engine: str, grad: float = 1.0) -> float:
    """Return a number of the state, after steps that begin at these values of the weight."""
    weight = nn.Parameter(torch.zeros(1, dtype=torch.bfloat16))
    optimizer = create([weight], **ENGINES[engine])
    for value in values:
        with torch.no_grad():
            weight.fill_(value)
        weight.grad = torch.full_like(weight, grad)
        optimizer.step()
    kept = optimizer.state[weight][key]
    assert kept.dtype is torch.float32
    return kept.item()


def still(*transforms, lr: float = 0.0):
    return partial(schuss.SGD, lr=lr, transforms=transforms)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_mean_of_weights_arrives(engine):
    # In bfloat16 it would stand still at a quarter.
    found = after(still(schuss.EMA(0.999)), [0.0] + [1.0] * 1000, "ema", engine)
    assert found == pytest.approx(1 - 0.999**1000, abs=1e-4)


def test_a_mean_of_all_weights_so_far_arrives():
    # That of 1 to 1000; torch's would stand still once a step is less than its last place.
    create = partial(schuss.ASGD, lr=0.0, t0=0.0)
    values = [step / 4 for step in range(1, 513)]  # which bfloat16 rounds by 0.25 at most
    assert after(create, values, "ax", "fused") == pytest.approx(513 / 8, abs=0.3)


def test_a_slow_mean_of_gradients_arrives():
    found = after(partial(schuss.AdEMAMix, lr=0.0), [0.0] * 1000, "exp_avg_slow", "fused")
    assert found == pytest.approx(1 - 0.9999**1000, abs=1e-5)
    grokfast = still(schuss.Grokfast(0.999))
    with_start = after(grokfast, [0.0] * 2, "grokfast_avg", "fused", grad=0.5)
    assert with_start == 0.5  # it begins with the first gradient


@pytest.mark.parametrize("engine", ENGINES)
def test_slow_weights_go_a_part_of_the_last_place(engine):
    weight = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    optimizer = schuss.SGD(
        [weight], lr=1.0, transforms=[schuss.Lookahead(1, 0.1)], **ENGINES[engine]
    )
    for _ in range(100):
        weight.grad = torch.full_like(weight, 2**-8)
        optimizer.step()
    # A hundred times a tenth of the last place below 1; in bfloat16 each would be rounded away.
    assert weight.item() == pytest.approx(1 - 100 * 0.1 * 2**-8, abs=2**-8)


def test_many_gradients_are_held_without_loss():
    weight = nn.Parameter(torch.zeros(1, dtype=torch.bfloat16))
    optimizer = schuss.SGD([weight], lr=1.0, transforms=[schuss.Accumulate(400)])
    for _ in range(400):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    assert weight.item() == -1.0  # a sum in bfloat16 would stand still at 256


def test_the_precision_survives_a_checkpoint():
    weights = [nn.Parameter(torch.zeros(1, dtype=torch.bfloat16)) for _ in range(2)]
    first, second = (still(schuss.EMA())([weight]) for weight in weights)
    weights[0].grad = torch.ones_like(weights[0])
    first.step()
    second.load_state_dict(first.state_dict())
    assert second.state[weights[1]]["ema"].dtype is torch.float32
