"""Kernels for a GPU do what the loop does; Triton's interpreter runs them here."""

from __future__ import annotations

import pytest
import torch

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64)

CASES = {
    "adamw": {"lr": 3e-2, "weight_decay": 0.1},
    "adam": {"lr": 3e-2, "maximize": True, "amsgrad": True},
    "lamb": {"lr": 3e-2, "weight_decay": 0.1},
    "lion": {"lr": 3e-2, "master_weights": True},
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_a_kernel_agrees_with_the_loop(name, dtype, interpreter):
    interpreter("cases", "agrees", name, dtype, CASES[name])
