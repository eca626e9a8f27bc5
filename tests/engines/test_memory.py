"""Which memory tensors have; the addresses of their numbers, one by one, are the oracle."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from schuss.engines.memory import (
    has_memory,
    is_within_storage,
    overlaps,
    ranges,
    span,
    strided_like,
    unshared,
)

ROOM = torch.zeros(64, dtype=torch.float32)
"""Where the tensors of a test lie."""


@st.composite
def placed(draw, room=ROOM):
    """Draw a tensor somewhere in a room, with any strides, and perhaps without numbers."""
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    strides = [draw(st.integers(0, 6)) for _ in shape]
    return room.as_strided(shape, strides, draw(st.integers(0, 20)))


def addresses(tensor: Tensor) -> set[int]:
    """Return the address of every byte of every number."""
    indices = itertools.product(*map(range, tensor.shape))
    at = [sum(i * s for i, s in zip(each, tensor.stride(), strict=True)) for each in indices]
    size = tensor.element_size()
    return {tensor.data_ptr() + size * place + byte for place in at for byte in range(size)}


def stretch(tensor: Tensor) -> set[int]:
    """Return the addresses from the first byte of a tensor to its last."""
    found = addresses(tensor)
    return set(range(min(found), max(found) + 1)) if found else set()


@given(placed())
def test_a_span_is_from_the_first_byte_to_the_last(tensor):
    assert span(tensor) == len(stretch(tensor)) == strided_like(tensor).span()


@given(st.lists(placed(), max_size=4))
def test_ranges_are_in_order_and_leave_out_what_has_no_numbers(tensors):
    starts, ends = ranges(tensors)
    expected = sorted((min(s), max(s) + 1) for s in map(stretch, tensors) if s)
    assert starts.tolist() == [start for start, _ in expected]
    assert sorted(zip(starts.tolist(), ends.tolist(), strict=True)) == expected


@given(placed(), st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), max_size=3))
def test_a_tensor_overlaps_if_a_byte_of_its_stretch_is_in_another_one(tensor, others):
    # Side by side, with gaps of any length between them.
    begin, known = 0, []
    for gap, length in others:
        known.append(ROOM[begin + gap : begin + gap + length])
        begin += gap + length
    theirs = set().union(*map(stretch, known))
    assert overlaps(tensor, *ranges(known)) == bool(stretch(tensor) & theirs)


@given(st.lists(placed(), min_size=1, max_size=3), st.lists(placed(), max_size=3))
def test_gradients_that_share_memory_with_what_is_written_are_copied(grads, own):
    theirs = [stretch(tensor) for tensor in own]
    found = unshared(grads, own)
    for grad, taken in zip(grads, found, strict=True):
        assert torch.equal(taken, grad)
        shares = any(stretch(grad) & each for each in theirs)
        assert (taken is not grad) == shares
        if shares:
            assert not stretch(taken) & set().union(*theirs)


def test_a_gradient_that_is_nowhere_becomes_one_that_is_somewhere():
    (found,) = unshared([torch._efficientzerotensor(3)], [])
    assert has_memory(found)
    assert found.tolist() == [0.0] * 3


WITHOUT = {
    "conjugated": torch.zeros(2, dtype=torch.complex64).conj(),
    "negated": torch._neg_view(torch.zeros(2)),
    "zeros": torch._efficientzerotensor(2),
    "meta": torch.zeros(2, device="meta"),
    "sparse": torch.zeros(2).to_sparse(),
}


@pytest.mark.parametrize("tensor", WITHOUT.values(), ids=WITHOUT)
def test_a_tensor_whose_numbers_are_not_there_as_they_are_has_no_memory(tensor):
    assert not has_memory(tensor)
    assert not overlaps(tensor, *ranges([torch.zeros(2)]))


def test_plain_tensors_and_parameters_have_memory_and_those_of_other_classes_may_not():
    class Other(Tensor):
        pass

    assert has_memory(torch.zeros(2))
    assert has_memory(torch.nn.Parameter(torch.zeros(2)))
    assert not has_memory(torch.zeros(2).as_subclass(Other))


@pytest.mark.parametrize(("numbers", "within"), [(5, False), (6, True), (7, True)])
def test_a_tensor_is_within_its_storage_up_to_the_last_byte(numbers, within):
    tensor = torch.zeros(10)[2:6]  # its last number is the sixth
    tensor.untyped_storage().resize_(4 * numbers)
    assert is_within_storage(tensor) == within


LIKE = {
    "the same": (torch.zeros(2, 3), True),
    "elsewhere": (torch.zeros(9)[1:7].view(2, 3), True),
    "another dtype": (torch.zeros(2, 3, dtype=torch.float64), False),
    "another device": (torch.zeros(2, 3, device="meta"), False),
    "another shape": (torch.zeros(3, 2), False),
    "other strides": (torch.zeros(3, 2).t(), False),
    "negated": (torch._neg_view(torch.zeros(2, 3)), False),
}


@pytest.mark.parametrize(("tensor", "fits"), LIKE.values(), ids=LIKE)
def test_a_tensor_fits_if_a_kernel_can_take_it_in_place_of_another(tensor, fits):
    assert strided_like(torch.ones(2, 3)).fits(tensor) == fits


def test_what_is_contiguous_fits_whatever_the_strides_of_dimensions_of_one():
    one, other = (torch.zeros(6).as_strided((1, 6), (n, 1)) for n in (6, 1))
    assert strided_like(one).fits(other)
    turned = torch.zeros(3, 2).t()
    assert strided_like(turned).fits(torch.ones(3, 2).t())
    assert not strided_like(turned).fits(torch.ones(2, 3))


def test_a_tensor_without_its_storage_does_not_fit():
    tensor = torch.zeros(2, 3)
    like = strided_like(tensor)
    tensor.untyped_storage().resize_(20)
    assert not like.fits(tensor)


def test_another_dtype_may_be_asked_for():
    like = strided_like(torch.ones(2, 3), torch.bfloat16)
    assert like.fits(torch.ones(2, 3, dtype=torch.bfloat16))
    assert like.span() == 12
