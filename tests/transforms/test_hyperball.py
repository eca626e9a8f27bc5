from __future__ import annotations

import pytest
import torch
from torch import nn

import schuss
from schuss import Hyperball


def walked(optimizer, param, steps: int = 20) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        grad = torch.randn(param.shape, generator=generator, dtype=torch.float64)
        param.grad = grad.to(param.dtype)
        optimizer.step()


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_the_norm_stays_whatever_the_rate_and_the_decay(name):
    for lr in (1e-3, 10.0):
        param = nn.Parameter(torch.randn(6, 4, dtype=torch.float64))
        before = param.detach().norm().item()
        transforms = [Hyperball()]
        options = {"lr": lr, "weight_decay": 0.1, "transforms": transforms}
        walked(schuss.create_optimizer(name, [param], **options), param)
        assert param.detach().norm().item() == pytest.approx(before)


def test_a_step_turns_the_weights_by_the_rate():
    param = nn.Parameter(torch.tensor([3.0, 4.0], dtype=torch.float64))
    start = param.detach().clone()
    param.grad = torch.tensor([4.0, -3.0], dtype=torch.float64)  # at a right angle
    schuss.SGD([param], lr=0.01, transforms=[Hyperball()]).step()
    cosine = torch.cosine_similarity(param.detach(), start, dim=0)
    assert torch.acos(cosine).item() == pytest.approx(0.01, rel=1e-3)


def test_the_size_of_the_weights_and_of_the_gradients_does_not_matter():
    ends = []
    for factor in (1.0, 64.0):
        torch.manual_seed(0)
        param = nn.Parameter(torch.randn(6, 4, dtype=torch.float64) * factor)
        optimizer = schuss.SGD([param], lr=0.1, momentum=0.9, transforms=[Hyperball()])
        walked(optimizer, param)
        ends.append(param.detach() / factor)
    assert torch.allclose(ends[0], ends[1], rtol=1e-12)


def test_the_radius_is_that_of_the_beginning_after_a_checkpoint_too():
    param = nn.Parameter(torch.ones(4, 4))
    first = schuss.AdamW([param], lr=0.1, transforms=[Hyperball()])
    walked(first, param)
    assert first.state[param]["radius"] == 4
    copy = nn.Parameter(param.detach() * 2)  # a model that was loaded wrongly
    second = schuss.AdamW([copy], lr=0.1, transforms=[Hyperball()])
    second.load_state_dict(first.state_dict())
    walked(second, copy)
    assert copy.detach().norm().item() == pytest.approx(4.0)


def test_in_half_precision_the_norm_is_that_of_float32():
    param = nn.Parameter(torch.randn(64, 64).to(torch.bfloat16))
    optimizer = schuss.AdamW([param], lr=0.1, transforms=[Hyperball()])
    before = param.detach().float().norm()
    walked(optimizer, param, steps=3)
    assert optimizer.state[param]["radius"].dtype == torch.float32
    assert param.detach().float().norm().item() == pytest.approx(before.item(), rel=1e-3)
