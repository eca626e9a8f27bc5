"""Numbers that change between Python and tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from schuss.storage.numbers import as_number, as_tensor, number_dtype


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (0.1, 0.1),
        (True, True),
        (np.float32(0.5), 0.5),
        (np.int64(2**53 + 1), 2**53 + 1),
        (np.array([0.25]), 0.25),
        (torch.tensor([[7]]), 7),
        (torch.tensor(0.1, dtype=torch.float64), 0.1),
        (torch.tensor(True), True),
    ],
    ids=str,
)
def test_one_number_is_found_exactly_whatever_holds_it(value, expected):
    found = as_number(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "value",
    [None, "1", 1j, torch.zeros(2), torch.zeros(0), np.zeros(2), torch.empty((), device="meta")],
    ids=str,
)
def test_other_values_are_no_number(value):
    assert as_number(value) is None


def test_a_count_is_in_float32_until_float32_would_round_it():
    for count, dtype in ((2**24, torch.float32), (2**24 + 1, torch.float64)):
        tensor = as_tensor(count)
        assert (tensor.dtype, tensor.item(), tensor.shape) == (dtype, count, ())


def test_a_tensor_in_place_of_a_number_of_python_is_as_exact_where_the_device_can_be():
    number = 0.1
    assert torch.tensor(number, dtype=number_dtype("cpu")).item() == number
    assert number_dtype("cuda") is torch.float64
    assert number_dtype("mps") is torch.float32
