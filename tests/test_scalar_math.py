"""What a rule computes with a number, it computes with a tensor of it."""

from __future__ import annotations

import math

import pytest
import torch

from schuss.scalar_math import cosine, larger, smaller, where


@pytest.mark.parametrize("number", [-1.5, 0.0, 0.25, 4.0])
def test_numbers_and_tensors_give_the_same(number):
    tensor = torch.tensor(number, dtype=torch.float64)
    for function in (lambda x: larger(x, 0.5), lambda x: smaller(x, 0.5), cosine):
        assert function(tensor).item() == pytest.approx(function(number), rel=1e-15)
    halves = [where(x > 0.2, lambda: 1.0, lambda: 0.5) for x in (tensor, number)]
    assert float(halves[0]) == halves[1] == (1.0 if number > 0.2 else 0.5)


def test_only_the_function_that_is_meant_is_called():
    assert where(False, lambda: math.sqrt(-1), lambda: 2) == 2
