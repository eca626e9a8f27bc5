"""What is written down when something is done to stand-ins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from schuss.engines.errors import DimensionsRead, UntraceableError, WholeRead
from schuss.engines.program.axes import all_axes
from schuss.engines.program.operations import Form
from schuss.engines.program.program import COUNT, GRAD, PARAM, Place
from schuss.engines.tracing.several import Several
from schuss.engines.tracing.sizes import Size, UnknownSize
from schuss.engines.tracing.standin import StandIn
from schuss.engines.tracing.tape import Dimensions, Tape

GRAD_AT, PARAM_AT, COUNT_AT, NORM_AT = range(4)
INPUTS = (Place(GRAD), Place(PARAM), COUNT, Place("state.norm", Form.TENSOR))


def of_matrices() -> tuple[Tape, StandIn]:
    """Return a tape, and the gradient of a matrix."""
    tape = Tape(INPUTS, torch.empty(0), Dimensions(all_axes(2), along=True))
    return tape, StandIn(tape, GRAD_AT)


def of_any_shape() -> tuple[Tape, StandIn]:
    """Return a tape, and the gradient of parameters of several numbers of dimensions."""
    tape = Tape(INPUTS, torch.empty(0), Dimensions())
    return tape, StandIn(tape, GRAD_AT)


def test_operations_are_written_in_order_and_numbers_become_arguments():
    tape, grad = of_any_shape()
    made = tape.record("lerp", StandIn(tape, PARAM_AT), grad, 0.25)
    again = tape.record("mul", made, torch.tensor(2.0))
    # Values count on from the inputs; `~k` is argument k.
    assert (made.value, again.value) == (4, 5)
    assert tape.nodes == [("lerp", PARAM_AT, GRAD_AT, ~0), ("mul", 4, ~1)]
    assert tape.arguments == [0.25, 2.0]


@pytest.mark.parametrize("operand", ["text", None, 1j])
def test_what_is_no_number_is_refused(operand):
    tape, grad = of_any_shape()
    with pytest.raises(UntraceableError, match=r"among the operands"):
        tape.record("mul", grad, operand)


def test_a_tensor_of_the_rule_is_for_functions_of_whole_tensors():
    tape, grad = of_any_shape()
    with pytest.raises(WholeRead):
        tape.record("mul", grad, torch.ones(2))


@given(st.lists(st.sampled_from(["element", "norm", "number"]), min_size=1, max_size=3))
def test_what_is_made_of_single_numbers_alone_is_one(kinds):
    tape, grad = of_any_shape()
    of = {"element": grad, "norm": StandIn(tape, NORM_AT), "number": 0.5}
    made = tape.record("operation", *(of[kind] for kind in kinds))
    assert tape.is_per_tensor(made) == ("element" not in kinds)
    assert tape.is_per_tensor(tape.reduce("sum", made, (), keepdim=False))


def test_a_draw_has_a_number_for_every_element():
    tape, _ = of_any_shape()
    assert not tape.is_per_tensor(tape.record("uniform", 7.0))


def test_a_single_number_is_its_own_sum():
    tape, _ = of_any_shape()
    norm = StandIn(tape, NORM_AT)
    found = tape.reduce("sum", norm, (), keepdim=False)
    assert (found.value, tape.nodes) == (NORM_AT, [])
    assert found is not norm  # which may be written to


def test_a_reduction_is_written_with_the_axes_that_remain():
    tape, grad = of_matrices()
    rows = tape.reduce("sum", grad, [-1], keepdim=True)
    columns = tape.reduce("amax", grad, [0], keepdim=False)
    whole = tape.reduce("sum", rows, [0, 1], keepdim=False)
    assert (rows.axes, columns.axes, whole.axes) == (((0,), ()), ((1,),), None)
    of_rows = ("sum", rows.value)
    assert tape.nodes == [(("sum", (0,)), GRAD_AT), (("amax", (1,)), GRAD_AT), of_rows]
    assert tape.is_per_tensor(whole)
    # As torch's (2, 1) and (3): rows and columns meet in a matrix, like the parameter.
    assert tape.record("mul", rows, columns).axes is None


def test_a_reduction_over_a_dimension_of_one_makes_nothing_new():
    tape, grad = of_matrices()
    rows = tape.reduce("sum", grad, [1], keepdim=True)
    again = tape.reduce("sum", rows, [1], keepdim=False)
    assert (again.value, again.axes, len(tape.nodes)) == (rows.value, ((0,),), 1)


def test_dimensions_have_to_be_known_for_statistics_along_them():
    tape, grad = of_any_shape()
    with pytest.raises(DimensionsRead) as read:
        tape.reduce("sum", grad, [0], keepdim=False)
    assert read.value.along
    assert tape.nodes == []


def test_a_view_follows_what_is_written_into_its_memory():
    tape, grad = of_matrices()
    rows = tape.reduce("sum", grad, [1], keepdim=False)
    column = tape.seen_as(rows, ((0,), ()), "a view")
    other = tape.seen_as(column, ((), (0,)), "a view of a view")
    rows.write(99)
    assert [column.value, other.value] == [99, 99]
    with pytest.raises(UntraceableError, match="writing into a view"):
        column.overwrite(StandIn(tape, GRAD_AT))


def test_a_copy_does_not_follow():
    tape, grad = of_any_shape()
    copied = tape.copy(grad)
    grad.write(99)
    assert copied.value == GRAD_AT


def test_a_size_is_an_operand_and_the_number_of_elements_an_input():
    tape, _ = of_matrices()
    assert tape.is_per_tensor(tape.size([1]))
    assert tape.nodes == [(("size", (1,)),)]
    assert tape.count().value == COUNT_AT


def test_truth_values_are_known():
    tape, grad = of_any_shape()
    assert tape.is_predicate(tape.record("gt", grad, 0.0))
    assert not tape.is_predicate(tape.record("add", grad, 0.0))
    assert not tape.is_predicate(grad)


def test_numbers_that_differ_among_parameters_are_arguments_as_arrays():
    tape, grad = of_any_shape()
    tape.record("mul", grad, Several(np.array([1.0, 2.0])))
    tape.record("add", grad, 0.5)
    assert [node[-1] for node in tape.nodes] == [~0, ~1]
    assert tape.arguments[0].tolist() == [1.0, 2.0]
    assert tape.arguments[1] == 0.5


def test_a_size_that_is_not_known_becomes_one_of_the_program():
    tape, grad = of_matrices()
    made = tape.record("div", grad, UnknownSize((1,)))
    known = tape.record("div", grad, Size(7, (0,)))
    # The sizes are values, and those of the quotients come after them.
    assert tape.nodes == [
        (("size", (1,)),),
        ("div", GRAD_AT, 4),
        (("size", (0,)),),
        ("div", GRAD_AT, 6),
    ]
    assert (made.value, known.value) == (5, 7)


def test_a_size_that_is_known_is_a_number_where_dimensions_do_not_matter():
    tape = Tape(INPUTS, torch.empty(0), Dimensions(all_axes(2), (7, 3)))
    tape.record("div", StandIn(tape, GRAD_AT), Size(7, (0,)))
    assert (tape.nodes, tape.arguments) == ([("div", GRAD_AT, ~0)], [7.0])


def test_what_is_repeated_along_axes_has_numbers_there():
    tape, grad = of_matrices()
    zeros = tape.spread(0.0, ((0,), ()))
    rows = tape.spread(tape.reduce("sum", grad, (), keepdim=False), ((0,),))
    assert (zeros.axes, rows.axes) == (((0,), ()), ((0,),))
    # v4, the sum as v5, and the sum repeated as v6
    assert tape.nodes == [(("spread", (0,)), ~0), ("sum", GRAD_AT), (("spread", (0,)), 5)]
    assert tape.record("add", zeros, 1.0).value == 7


@pytest.mark.parametrize(
    "dimensions", [Dimensions(), Dimensions(all_axes(2)), Dimensions(along=True)]
)
def test_the_axes_of_an_element_are_known_only_if_statistics_may_be_made(dimensions):
    tape = Tape(INPUTS, torch.empty(0), dimensions)
    with pytest.raises(DimensionsRead):
        tape.axes_of(StandIn(tape, GRAD_AT))
    assert tape.axes_of(StandIn(tape, NORM_AT)) == ()


@pytest.mark.parametrize("single", [True, False])
def test_of_parameters_of_one_number_every_value_is_one(single):
    tape = Tape(INPUTS, torch.empty(0), Dimensions(single=single))
    assert tape.is_single(StandIn(tape, GRAD_AT)) == single
    assert tape.is_single(StandIn(tape, NORM_AT))
