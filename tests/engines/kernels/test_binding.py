"""How tensors lie in memory; the places of their elements, counted one by one, are the oracle."""

from __future__ import annotations

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from schuss.engines.kernels.binding import is_alike, is_dense

SHAPES = st.lists(st.integers(1, 3), max_size=3)


@st.composite
def laid_out(draw, shape=None):
    """Draw a tensor with any strides, often those of some order of its dimensions."""
    sizes = draw(SHAPES) if shape is None else shape
    strides, place = [0] * len(sizes), 1
    for dim in draw(st.permutations(range(len(sizes)))):
        strides[dim] = draw(st.sampled_from([place, place, place, place + 1, 0]))
        place *= sizes[dim]
    return torch.empty(200).as_strided(sizes, strides)


def places(tensor: Tensor) -> list[int]:
    """Return where each element is, in the order of the indices."""
    indices = itertools.product(*map(range, tensor.shape))
    return [sum(i * s for i, s in zip(at, tensor.stride(), strict=True)) for at in indices]


@given(laid_out())
def test_a_tensor_is_dense_if_its_elements_fill_one_stretch(tensor):
    assert is_dense(tensor) == (sorted(places(tensor)) == list(range(tensor.numel())))


@given(SHAPES.flatmap(lambda shape: st.tuples(laid_out(shape), laid_out(shape))))
def test_tensors_that_are_alike_have_each_element_at_the_same_place(pair):
    one, other = pair
    if is_alike(one, other):
        assert places(one) == places(other)
    else:
        assert one.stride() != other.stride()


def test_contiguous_tensors_are_alike_whatever_their_strides_of_one():
    one, other = (
        torch.empty(6).as_strided((1, 6), (6, 1)),
        torch.empty(6).as_strided((1, 6), (1, 1)),
    )
    assert one.stride() != other.stride()
    assert is_alike(one, other)
