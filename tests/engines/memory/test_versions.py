"""What is needed for a backward pass, and was stepped meanwhile, is an error as with torch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import schuss

ENGINES = [{"fused": True}, {"foreach": True}, {"foreach": False}]
STEPS = 5
"""More than it takes until a step only remembers what the one before has found."""


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("strided", [False, True])
def test_a_backward_pass_through_parameters_that_were_stepped_raises(engine, strided):
    start = torch.ones(3, 4)[:, ::2] if strided else torch.ones(3, 2)
    param = nn.Parameter(start)
    optimizer = schuss.AdamW([param], **engine)
    for _ in range(STEPS):
        param.grad = torch.ones_like(param)
        loss = (param**2).sum()
        optimizer.step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("key", ["exp_avg", "exp_avg_sq"])
def test_a_backward_pass_through_state_that_was_stepped_raises(engine, key):
    param, factor = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizer = schuss.AdamW([param], **engine)
    param.grad = torch.ones(3)
    optimizer.step()
    for _ in range(STEPS):
        loss = (factor * optimizer.state[param][key]).sum()
        optimizer.step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_a_backward_pass_through_what_no_step_touches_goes_on(engine):
    param, other = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizer = schuss.AdamW([param, other], **engine)
    for _ in range(STEPS):
        param.grad = torch.ones(3)
        loss = (other**2).sum() + (param.grad * other).sum()
        optimizer.step()
        loss.backward()
        assert other.grad is not None
        assert other.grad.tolist() == [3.0] * 3  # 2 * 1 + 1
        other.grad = None
