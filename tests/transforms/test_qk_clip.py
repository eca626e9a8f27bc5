from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss import QKClip
from tests.conformance.trajectories import ON

START = torch.arange(1.0, 13.0, dtype=torch.float64).reshape(4, 3)


def clipped(logits: Tensor | None, engine: str = "loop", **group) -> Tensor:
    """Return where a weight is after a step without gradients, one without logits before it."""
    param = nn.Parameter(START.clone())
    clip = QKClip(qk_heads=2, **group)
    optimizer = schuss.SGD([param], lr=0.1, transforms=[clip], **ON[engine])
    for step in range(2):
        param.grad = torch.zeros_like(param)
        if step and logits is not None:
            clip.record(optimizer, {param: logits})
        optimizer.step()
    return param.detach()


@pytest.mark.parametrize("engine", ON)
def test_a_head_with_large_logits_is_shrunk(engine):
    # min(1, 100 / 400)^(1/2) = 1/2 for the first two rows.
    found = clipped(torch.tensor([400.0, 50.0]), engine)
    assert torch.allclose(found, START * torch.tensor([[0.5], [0.5], [1], [1]]).double())


def test_the_threshold_and_the_share_are_of_the_group():
    found = clipped(torch.tensor([400.0, 50.0]), qk_threshold=25.0, qk_share=1.0)
    assert torch.allclose(found, START * torch.tensor([[1 / 16], [1 / 16], [0.5], [0.5]]).double())


def test_without_large_logits_nothing_changes():
    for logits in (None, torch.tensor([100.0, -1e9]), torch.zeros(2)):
        assert torch.equal(clipped(logits), START)


def test_the_product_of_queries_and_keys_comes_down_to_the_threshold():
    torch.manual_seed(0)
    x = torch.randn(10, 8, dtype=torch.float64)
    queries, keys = (nn.Parameter(torch.randn(6, 8, dtype=torch.float64) * 10) for _ in range(2))

    def largest() -> Tensor:
        q, k = ((x @ weight.detach().mT).unflatten(1, (2, 3)) for weight in (queries, keys))
        return torch.einsum("ihd,jhd->hij", q, k).amax((1, 2))

    clip = QKClip(qk_heads=2)
    optimizer = schuss.SGD([queries, keys], lr=0.0, transforms=[clip])
    for _ in range(2):
        queries.grad, keys.grad = torch.zeros_like(queries), torch.zeros_like(keys)
        logits = largest()
        clip.record(optimizer, {queries: logits, keys: logits})
        optimizer.step()
    assert logits.min() > 100
    assert torch.allclose(largest(), torch.full((2,), 100.0).double())


def test_the_largest_of_several_microbatches_counts_once():
    param = nn.Parameter(START.clone())
    clip = QKClip(qk_heads=1, qk_share=1.0)
    optimizer = schuss.SGD([param], lr=0.1, transforms=[clip])
    for step in range(3):
        param.grad = torch.zeros_like(param)
        if step == 1:
            for value in (50.0, 200.0, 150.0):
                clip.record(optimizer, {param: torch.tensor([value])})
        optimizer.step()
    assert torch.allclose(param.detach(), START / 2)


def test_heads_may_come_later():
    param = nn.Parameter(START.clone())
    clip = QKClip(qk_share=1.0)
    optimizer = schuss.SGD([param], lr=0.1, momentum=0.5, transforms=[clip], foreach=False)
    for step in range(3):
        param.grad = torch.zeros_like(param)
        if step == 2:
            optimizer.param_groups[0]["qk_heads"] = 1
            clip.record(optimizer, {param: torch.tensor([200.0])})
        optimizer.step()
    assert torch.allclose(param.detach(), START / 2)


def test_wrong_heads_are_refused():
    param, other = nn.Parameter(START.clone()), nn.Parameter(torch.ones(3))
    clip = QKClip()
    optimizer = schuss.SGD(
        [{"params": [param], "qk_heads": 2}, {"params": [other]}], lr=0.1, transforms=[clip]
    )
    clip.record(optimizer, {param: torch.ones(2)})  # before the first step
    assert not optimizer.state
    param.grad, other.grad = torch.zeros_like(param), torch.zeros_like(other)
    optimizer.step()
    with pytest.raises(
        ValueError, match=r"logits of shape \(3,\) .* with qk_heads=2; give a number"
    ):
        clip.record(optimizer, {param: torch.ones(3)})
    with pytest.raises(ValueError, match="with qk_heads=None; give a number for each head"):
        clip.record(optimizer, {other: torch.ones(2)})
    wrong = schuss.SGD([{"params": [param], "qk_heads": 3}], lr=0.1, transforms=[QKClip()])
    with pytest.raises(ValueError, match=r"shape \(4, 3\) cannot be divided among qk_heads=3"):
        wrong.step()


@pytest.mark.parametrize("engine", ON)
def test_another_number_of_heads_begins_without_logits(engine):
    param = nn.Parameter(START.clone())
    clip = QKClip(qk_heads=2)
    optimizer = schuss.SGD([param], lr=0.1, transforms=[clip], **ON[engine])

    def step() -> list[float]:
        param.grad = torch.zeros_like(param)
        optimizer.step()
        return [*param.detach()[:, 0].tolist()]

    step()
    clip.record(optimizer, {param: torch.tensor([400.0, 50.0])})
    optimizer.param_groups[0]["qk_heads"] = 4
    assert step() == [1.0, 4.0, 7.0, 10.0]
    clip.record(optimizer, {param: torch.tensor([50.0, 400.0, 50.0, 1600.0])})
    assert step() == pytest.approx([1.0, 2.0, 7.0, 2.5])


def test_an_optimizer_without_the_transform_is_refused():
    param = nn.Parameter(START.clone())
    with pytest.raises(ValueError, match="with qk_heads=None; give a number for each head"):
        QKClip().record(schuss.SGD([param], lr=0.1), {param: torch.ones(2)})
