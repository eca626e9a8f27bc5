"""The table of kinds says of each dtype what torch says, and every device knows every kind."""

from __future__ import annotations

import pytest
import torch

from schuss.engines.devices.cpu import numbers
from schuss.engines.devices.gpu.expressions import TYPES
from schuss.storage.halves import rounds_to
from schuss.storage.kinds import CODES, DTYPES, KIND_OF, KINDS, PARTS, bytes_of
from schuss.storage.precision import computed_dtype

FLOATING = [each for each in DTYPES if each.is_floating_point and each.itemsize > 1]


def test_all_dtypes_of_two_bytes_and_more_have_a_kind():
    assert {*KIND_OF} == {*FLOATING, *(each for each in DTYPES if each.is_complex)}


@pytest.mark.parametrize("dtype", PARTS, ids=str)
def test_a_complex_number_is_two_real_ones(dtype):
    assert computed_dtype(dtype) is PARTS[dtype] is dtype.to_real()
    assert bytes_of(torch.zeros(3, dtype=dtype)) == dtype.itemsize // 2


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
def test_a_kind_is_what_torch_makes_of_its_dtype(dtype):
    kind = KINDS[KIND_OF[dtype]]
    assert (str(dtype), dtype) == (f"torch.{kind.name}", kind.dtype)
    assert kind.bytes == dtype.itemsize == bytes_of(torch.zeros(3, dtype=dtype))
    assert getattr(torch.zeros(1), kind.method)().dtype is dtype
    # Computed in what holds each of its numbers, and has four bytes at least.
    wide = torch.promote_types(dtype, torch.float32)
    assert (computed_dtype(dtype), kind.is_rounded) == (wide, wide is not dtype)
    assert kind.is_half == (kind.bytes == 2)


@pytest.mark.parametrize("dtype", CODES, ids=str)
def test_whole_numbers_are_computed_with_as_float32_which_has_them_all(dtype):
    kind = KINDS[CODES[dtype]]
    assert (str(dtype), dtype) == (f"torch.{kind.name}", kind.dtype)
    assert kind.bytes == dtype.itemsize == bytes_of(torch.zeros(3, dtype=dtype))
    assert getattr(torch.zeros(1), kind.method)().dtype is dtype
    assert not kind.is_half
    ends = torch.tensor([torch.iinfo(dtype).min, torch.iinfo(dtype).max], dtype=dtype)
    assert torch.equal(ends.to(getattr(torch, kind.computed)).to(dtype), ends)


@pytest.mark.parametrize("name", KINDS)
def test_every_device_loads_and_stores_every_kind(name):
    assert getattr(numbers, f"size_of_{name}") == KINDS[name].bytes
    assert all(callable(getattr(numbers, f"{does}_{name}")) for does in ("load", "store"))
    assert callable(getattr(numbers, f"rounds_to_{name}", None)) == KINDS[name].is_half
    assert name in TYPES


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_number_rounds_to_its_nearest_neighbour_and_a_zero_to_that_of_its_sign(dtype):
    at, near, far = 1.0, 1 + torch.finfo(dtype).eps / 4, 1 + torch.finfo(dtype).eps
    numbers = torch.tensor([at, near, far, 0.0, 0.0])
    others = torch.tensor([1.0, 1.0, 1.0, 0.0, -0.0])
    expected = [True, True, False, True, False]
    assert rounds_to(dtype, numbers, others).tolist() == expected
    assert rounds_to(dtype, numbers, others.to(dtype)).tolist() == expected
