"""No step depends on torch's default dtype, but where that of `torch.optim` does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

import schuss
from tests.algorithms import EVERY, fitting

ENGINES = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


@contextmanager
def by_default(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def path(create, dtype: torch.dtype, **options) -> list[Tensor]:
    """Return two parameters after each of six steps."""
    starts = [torch.tensor(x, dtype=dtype) for x in ([[1.0, -2.0], [0.3, 0.7]], 0.7)]
    params = [nn.Parameter(fitting(create, start)) for start in starts]
    optimizer = create(params, **options)
    visited = []
    for step in range(6):
        for param in params:
            param.grad = (param.detach() * 3 + step).cos()
        optimizer.step()
        visited += [param.detach().clone() for param in params]
    return visited


def assert_the_same(create, default: torch.dtype, dtype: torch.dtype, **options) -> None:
    expected = path(create, dtype, **options)
    with by_default(default):
        found = path(create, dtype, **options)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", EVERY)
def test_an_optimizer_ignores_a_default_of_half_precision(name):
    create = schuss.list_optimizers(name)[0].cls
    for dtype in (torch.float32, torch.bfloat16):
        assert_the_same(create, torch.bfloat16, dtype, foreach=False)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["nadam", "prodigy", "sm3"])
def test_so_do_the_engines(name, engine):
    create = schuss.list_optimizers(name)[0].cls
    assert_the_same(create, torch.bfloat16, torch.float32, **ENGINES[engine])


@pytest.mark.parametrize("name", [name for name in EVERY if name != "nadam"])
def test_an_optimizer_ignores_a_default_of_double_precision(name):
    create = schuss.list_optimizers(name)[0].cls
    assert_the_same(create, torch.float64, torch.float32, foreach=False)


@pytest.mark.parametrize("default", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_nadam_rounds_its_product_as_torch_does(default):
    with by_default(default):
        ours = path(schuss.NAdam, torch.float64, foreach=False)
        theirs = path(torch.optim.NAdam, torch.float64)
    # A product that is rounded otherwise moves the weights by 1e-11 at least.
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=1e-15)


class Measuring(schuss.Optimizer):
    """Moves by a number that is measured as a Python number."""

    def measure(self, state, group, grad, param):
        return {"tenth": 0.1}

    def update(self, state, group, grad, param):
        return grad * group["sums_over_all"]["tenth"]


def test_numbers_that_are_measured_are_added_up_in_double_precision():
    with by_default(torch.bfloat16):
        param = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        param.grad = torch.ones(1, dtype=torch.float64)
        Measuring([param], {"lr": 1.0}, foreach=False).step()  # type: ignore[call-arg]
    assert param.item() == -0.1
