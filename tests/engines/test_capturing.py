"""A graph repeats the work of its GPU alone: a step with any other work is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.composite import everything
from schuss.engines import capturing
from tests.conformance.strangers import Ruled

Change = Callable[[list[nn.Parameter]], object]


def looking_at_a_value(state: Any, group: Any, grad: Tensor, param: Tensor) -> None:
    if grad[0] > 0:
        param.sub_(grad)


def made(params: Any, cls: Any = schuss.AdamW, **options: Any) -> Any:
    return cls(params, **options)


CHANGES: dict[str, Change] = {
    "fused": lambda params: made(params, fused=True).step(),
    "foreach": lambda params: made(params, foreach=True).step(),
    "loop": lambda params: made(params, foreach=False).step(),
    "stacked": lambda params: Ruled(params, looking_at_a_value).step(),
    "stages": lambda params: made(params, schuss.Muon).step(),
    "a sum": lambda params: made(params, transforms=[schuss.ClipByGlobalNorm(1.0)]).step(),
    "another method": lambda params: made(params, schuss.Sophia).update_hessian(1.0),
    "a composite": lambda params: schuss.Composite(
        nn.ParameterList(params), all=schuss.Lion(), route=[("all", everything)]
    ).step(),
}


@pytest.fixture
def captured_on(monkeypatch) -> Callable[[str], None]:
    """Let a graph capture the work of some device."""
    return lambda name: monkeypatch.setattr(
        capturing, "captured_device", lambda: torch.device(name)
    )


def with_gradients(*devices: str) -> list[nn.Parameter]:
    params = [nn.Parameter(torch.ones(4, 4, device=device)) for device in devices]
    for param in params:
        param.grad = torch.ones_like(param)
    return params


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_engine_does_work_of_the_host_that_a_graph_would_not_repeat(change, captured_on):
    params = with_gradients(*["cpu"] * 8)
    captured_on("cuda:0")
    with pytest.raises(RuntimeError, match="captures on cuda:0 alone, and parameter group 0 is on"):
        change(params)
    assert all(param.eq(1).all() for param in params)


@pytest.mark.parametrize("transforms", [[], [schuss.Accumulate(2)], [schuss.SkipNonFinite()]])
def test_a_group_with_numbers_of_python_is_refused_and_counts_nothing(transforms, captured_on):
    (param,) = with_gradients("cpu")
    optimizer = schuss.AdamW([param], transforms=transforms)
    for _ in range(2):
        optimizer.step()
    before = optimizer.state_dict()
    captured_on("cpu")
    with pytest.raises(RuntimeError, match="parameter group 0 has numbers of Python.*capturable"):
        optimizer.step()
    assert str(optimizer.state_dict()) == str(before)


@pytest.mark.parametrize("engine", ["fused", "foreach"])
def test_a_step_that_would_be_that_of_before_is_refused(engine, captured_on):
    params = with_gradients("cpu", "cpu")
    optimizer = made(params, **{engine: True})
    for _ in range(6):
        optimizer.step()
    before = [param.tolist() for param in params]
    captured_on("cuda:0")
    with pytest.raises(RuntimeError, match="parameter group 0 is on cpu"):
        optimizer.step()
    assert [param.tolist() for param in params] == before


def test_a_group_elsewhere_is_refused_beside_one_that_can_be_captured(captured_on):
    params = with_gradients("meta", "cpu")
    groups = [{"params": params[:1], "capturable": True}, {"params": params[1:]}]
    optimizer = schuss.AdamW(groups)
    captured_on("meta")
    with pytest.raises(
        RuntimeError, match="AdamW: .*on meta alone, and parameter group 1 is on cp"
    ):
        optimizer.step()
    assert not optimizer.state
    assert params[1].eq(1).all()


def test_a_group_without_a_gradient_has_no_step_to_repeat(captured_on):
    params = with_gradients("cpu")
    params[0].grad = None
    captured_on("cuda:0")
    optimizer = schuss.AdamW(params)
    optimizer.step()
    assert not optimizer.state


def test_no_gpu_is_asked_where_none_is_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", None)
    assert capturing.captured_device() is None
