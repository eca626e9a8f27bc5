"""Which dimensions of a parameter those of a tensor are; torch's own shapes are the oracle.

The sizes of the parameters here are different primes, so that a shape tells which axes it is of.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from schuss.engines.errors import ShapeRead
from schuss.engines.program.axes import (
    all_axes,
    broadcast,
    fitting,
    layout,
    own_axes,
    positions,
    reduced,
)
from schuss.engines.tracing.sizes import Shape, Size, UnknownSize, reshaped, shape_of

SIZES = (2, 3, 5, 7)
DIMS = st.integers(1, 4)


@st.composite
def reductions(draw, dims=None):
    """Draw how many dimensions there are, some of them, and whether they remain with size 1."""
    number = dims or draw(DIMS)
    which = st.lists(st.integers(-number, number - 1), unique_by=lambda dim: dim % number)
    return number, draw(which), draw(st.booleans())


def summed(shape, dims, keepdim):
    """Return the shape of torch's sum over some dimensions; over none it is the tensor."""
    made = torch.empty(shape)
    return tuple((made.sum(dims, keepdim=keepdim) if dims else made).shape)


@given(reductions())
def test_a_reduction_leaves_the_dimensions_that_torch_leaves(drawn):
    number, dims, keepdim = drawn
    whole = layout(SIZES[:number])
    left = reduced(whole.axes, dims, keepdim=keepdim)
    assert whole.shape(left) == summed(SIZES[:number], dims, keepdim)
    gone = {dim % number for dim in dims}
    assert own_axes(left) == tuple(axis for axis in range(number) if axis not in gone)


@given(st.integers(2, 4).flatmap(lambda n: st.lists(reductions(n), min_size=2, max_size=3)))
def test_what_fits_has_the_shape_that_torch_makes_and_the_rest_is_refused(drawn):
    number = drawn[0][0]
    whole = layout(SIZES[:number])
    many = [reduced(whole.axes, dims, keepdim=keepdim) for _, dims, keepdim in drawn]
    shapes = [whole.shape(axes) for axes in many]
    try:
        expected = torch.broadcast_shapes(*shapes)
    except RuntimeError:
        with pytest.raises(TypeError, match="dimensions of different meaning meet"):
            broadcast(many)
        return
    if len({size for size in expected if size > 1}) < sum(size > 1 for size in expected):
        # Every number of an axis with every other of the same: of no element of the parameter.
        with pytest.raises(TypeError, match="one dimension is met twice"):
            broadcast(many)
        return
    assert whole.shape(broadcast(many)) == tuple(expected)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((-1,), ((0, 1, 2),)),
        ((Size(2, (0,)), -1), ((0,), (1, 2))),
        ((-1, UnknownSize((2,))), ((0, 1), (2,))),
        ((Size(6, (0, 1)), Size(5, (2,))), ((0, 1), (2,))),
        ((1, -1, 1), ((), (0, 1, 2), ())),
        ((*map(Size, (2, 3, 5), ((0,), (1,), (2,))), -1), ((0,), (1,), (2,), ())),
    ],
)
def test_a_new_shape_is_made_of_the_dimensions_in_order(shape, expected):
    assert reshaped(all_axes(3), shape) == expected


@pytest.mark.parametrize(
    ("axes", "shape", "message"),
    [
        (((1,), (0,)), (-1,), "of a transposed tensor"),
        (all_axes(3), (Size(3, (1,)), -1), "not made of its dimensions"),  # torch mixes rows
        (all_axes(2), (Size(2, (0,)),), "not made of its dimensions"),  # too small
        (all_axes(2), (2, -1), "the size 2 is not of a dimension"),  # a number says nothing
    ],
)
def test_a_shape_that_does_not_tell_its_dimensions_is_refused(axes, shape, message):
    with pytest.raises(TypeError, match=message):
        reshaped(axes, shape)


def test_equal_parts_are_the_first_of_two_axes_of_the_first_dimension():
    whole: Any = layout((6, 5), heads=2)
    assert whole == ((2, 3, 5), ((0, 1), (2,)), 2)
    assert reshaped(whole.axes, (2, -1), heads=2) == ((0,), (1, 2))
    # 5 rows have no two equal parts.
    assert layout((5, 6), heads=2) == ((5, 6), ((0,), (1,)), None)


def test_a_dimension_of_one_has_no_axis_unless_there_is_no_other():
    assert layout((4, 1, 3)).axes == ((0,), (), (2,))
    assert layout((1, 1)).axes == ((0,), (1,))
    assert layout(()).axes == ()


@given(reductions(), st.permutations(SIZES))
def test_among_what_a_statistic_can_be_is_what_it_is(drawn, sizes):
    number, dims, keepdim = drawn
    whole = layout(sizes[:number])
    axes = reduced(whole.axes, dims, keepdim=keepdim)
    # All sizes differ, so that there is no other.
    assert fitting(whole.shape(axes), whole) == [axes]


def test_of_a_square_matrix_a_vector_can_be_of_rows_or_of_columns_and_the_fullest_comes_first():
    assert fitting((5,), layout((5, 5))) == [((0,),), ((1,),)]
    assert fitting((5, 1), layout((5, 5))) == [((0,), ())]
    assert fitting((1,), layout((1, 1))) == [((0,),), ((1,),), ((),)]
    assert fitting((4,), layout((5, 5))) == []


def test_with_fewer_dimensions_the_axes_come_in_the_order_of_the_parameter():
    assert fitting((5, 3), layout((5, 5, 3))) == [((0,), (2,)), ((1,), (2,))]
    assert fitting((5, 5), layout((5, 5, 3))) == [((0,), (1,))]
    assert fitting((3, 5), layout((5, 5, 3))) == []


@given(DIMS, st.integers(-6, 5))
def test_a_dimension_is_counted_from_either_end_as_in_torch(number, dim):
    if -number <= dim < number:
        assert positions(all_axes(number), dim) == range(number)[dim]
    else:
        with pytest.raises(TypeError, match=f"dimension {dim} of {number}"):
            positions(all_axes(number), dim)


def test_a_size_that_is_not_known_can_be_compared_with_its_own_and_nothing_else():
    size: Any = UnknownSize((0,))
    assert size == UnknownSize((0,))
    assert hash(size) == hash(UnknownSize((0,)))
    assert size != -1  # a placeholder in a shape, which no size is
    for read in (
        lambda: size == UnknownSize((1,)),
        lambda: size == 3,
        lambda: size * 2,
        lambda: 1 / size,
        lambda: range(3)[size],
        lambda: math.sqrt(size),
        lambda: size > 1,
    ):
        with pytest.raises(ShapeRead):
            read()


def test_a_shape_has_the_sizes_of_its_axes():
    known: Any = shape_of(((0, 1), (), (2,)), (2, 3, 5))
    assert (known, known.numel()) == ((6, 1, 5), 30)
    assert [size.axes for size in (known[0], known[-1])] == [(0, 1), (2,)]
    assert isinstance(known[1:], Shape)
    assert isinstance(known + (1,), Shape)  # noqa: RUF005
    unknown = shape_of(((0, 1), (), (2,)), None)
    assert unknown[1] == 1
    with pytest.raises(ShapeRead):
        unknown.numel()
