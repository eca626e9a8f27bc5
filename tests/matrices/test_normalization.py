"""Matrices of norm 1: the short way for norms within a range, and the long one for all others."""

from __future__ import annotations

import pytest
import torch

from schuss.matrices import normalization
from schuss.matrices.normalization import LARGEST, LEAST, normalized


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("size", [1.0, 1e-6, 1e6])
@pytest.mark.parametrize("eps", [0.0, 1e-7, 1e3])
def test_both_ways_have_the_same_bits(dtype, size, eps, monkeypatch):
    x = size * random(3, 20, 30)
    short = normalized(x, dtype, eps)
    monkeypatch.setattr(normalization, "_norm_within_range", lambda y: None)
    assert torch.equal(short, normalized(x, dtype, eps))


@pytest.mark.parametrize("size", [1e-30, 1e30, LEAST, LARGEST])
def test_where_squares_leave_the_range_norms_are_right_too(size):
    x = random(2, 20, 30)
    x[1] *= size / x[1].norm()
    found = normalized(x, torch.float32, 0.0).double()
    torch.testing.assert_close(found.norm(dim=(1, 2)), torch.ones(2).double(), rtol=1e-6, atol=0)


def test_matrices_of_zeros_stay_zero():
    x = random(2, 3, 4)
    x[1] = 0
    assert normalized(x, torch.float32, 0.0)[1].tolist() == torch.zeros(3, 4).tolist()


def test_no_number_is_looked_at_where_that_would_be_to_wait_for_a_device(monkeypatch):
    looks: list[torch.Tensor] = []

    def item(x: torch.Tensor) -> float:
        looks.append(x)
        return 1.0

    monkeypatch.setattr(torch.Tensor, "item", item)
    normalized(random(2, 3, 4).to("meta"), torch.bfloat16, 0.0)
    assert not looks
    normalized(random(2, 3, 4), torch.bfloat16, 0.0)
    assert len(looks) == 2
