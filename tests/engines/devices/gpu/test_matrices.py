"""Kernels of rows and columns for a GPU do what the loop does."""

from __future__ import annotations

import pytest
import torch

from tests.conformance.matrices import ALONG
from tests.covers import in_turn

CASES = {
    "adafactor": {"weight_decay": 0.1},
    "came": {},
    "adammini": {"weight_decay": 0.1},
    "adamp": {"weight_decay": 0.1},
    "sgdp": {"momentum": 0.9},
    "sm3": {"momentum": 0.9},
}

DTYPES = (torch.float32, torch.bfloat16, torch.float64, torch.float16)


# The kernels of all dtypes are the same text, but for the names of types.
@pytest.mark.parametrize(("name", "dtype"), in_turn(CASES, DTYPES), ids=str)
def test_a_kernel_of_rows_and_columns_agrees_with_the_loop(name, dtype, interpreter):
    interpreter("matrices", "agrees", name, dtype, CASES[name])


@pytest.mark.parametrize("rule", ALONG, ids=lambda rule: rule.__name__)
def test_a_kernel_of_a_stranger_s_rule_agrees_with_the_loop(rule, interpreter):
    interpreter("matrices", "takes", rule)


def test_master_weights_have_rows_and_columns(interpreter):
    interpreter("matrices", "agrees", "came", torch.bfloat16, {"master_weights": True})


def test_a_kernel_of_rows_and_columns_draws_what_that_of_the_cpu_draws(interpreter):
    interpreter("matrices", "draws_the_same")
