"""From the dimensions of a parameter to matrices, rows and columns; torch's sums are the oracle."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from schuss.engines.cohorts.matrix_view import MatrixView, reduced
from schuss.engines.errors import UnfusableError
from schuss.engines.program.as_matrices import MatrixAxes, as_matrices
from schuss.engines.program.axes import layout
from schuss.engines.program.operations import Form
from schuss.engines.program.program import COUNT, GRAD, PARAM, Place

INPUTS = ((Place(GRAD), None), (Place(PARAM), None), (COUNT, None))


def sums_as_matrices(dims, *of_axes):
    """Return the program of sums of the gradient that leave some axes, and its matrix_axes."""
    nodes = tuple((("sum", axes) if axes else "sum", 0) for axes in of_axes)
    ends = tuple((f"state.{at}", len(INPUTS) + at) for at in range(len(nodes)))
    return as_matrices(INPUTS, nodes, ends, tuple(range(dims)))


@pytest.mark.parametrize(
    ("dims", "of_axes", "matrix_axes", "operations"),
    [
        # A mean for each row, and for each column, of a matrix; the mean of all.
        (2, [(0,), (1,), ()], ((), (0,), (1,)), ["row_sum", "column_sum", "sum"]),
        # The same of a convolution's last two dimensions: a batch of matrices.
        (4, [(0, 1, 2), (0, 1, 3)], ((0, 1), (2,), (3,)), ["row_sum", "column_sum"]),
        # One number for each output: all other dimensions are one.
        (4, [(0,)], ((), (0,), (1, 2, 3)), ["row_sum"]),
        # One for each input channel: it lies between two others, and is a column of a matrix each.
        (2, [(1,)], ((), (0,), (1,)), ["column_sum"]),
        # Of a matrix of a batch: of its rows first, which are made once if they are needed too.
        (3, [(0,), (0, 1)], ((0,), (1,), (2,)), ["row_sum", "matrix_sum"]),
        (1, [()], ((), (), (0,)), ["sum"]),
    ],
)
def test_axes_that_are_kept_together_are_one(dims, of_axes, matrix_axes, operations):
    program, found = sums_as_matrices(dims, *of_axes)
    assert found == matrix_axes
    assert [name for name, *_ in program.nodes] == operations


@pytest.mark.parametrize(
    ("dims", "of_axes"),
    [
        (4, [(0,), (1,), (2,), (3,)]),  # SM3 on a convolution
        (4, [(0, 2), (1,)]),  # the first with the third dimension
        (4, [(0,), (0, 1), (0, 1, 2)]),  # statistics of statistics of statistics
        (3, [(1,), (2,)]),  # numbers for rows, but not for each matrix
    ],
)
def test_statistics_of_more_than_matrices_are_refused(dims, of_axes):
    with pytest.raises(UnfusableError, match="along too many dimensions at once"):
        sums_as_matrices(dims, *of_axes)


@given(st.data())
def test_sums_of_what_is_seen_as_matrices_are_those_of_torch(data):
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    dims = len(shape)
    subsets = st.lists(st.integers(0, dims - 1), unique=True, max_size=dims - 1).map(sorted)
    of_axes = data.draw(st.lists(subsets.map(tuple), min_size=1, max_size=3, unique=True))
    try:
        program, matrix_axes = sums_as_matrices(dims, *of_axes)
    except UnfusableError:  # of more than matrices
        return
    assert sum(matrix_axes, ()) == tuple(range(dims))
    view = MatrixView(matrix_axes, layout(shape)._replace(sizes=tuple(shape)), {})
    x = torch.arange(1.0, 1 + torch.Size(shape).numel(), dtype=torch.float64).view(shape)
    values = [view.seen(x, Form.ELEMENT), x, torch.tensor(0.0)]
    for name, operand in program.nodes:
        values.append(reduced(name, values[operand]))
    for axes, (_, number) in zip(of_axes, program.outputs, strict=True):
        gone = [dim for dim in range(dims) if dim not in axes]
        assert torch.equal(values[number].flatten(), x.sum(gone).flatten())


def test_sizes_are_products_over_axes():
    matrix_axes = MatrixAxes((0, 1), (2,), (3,))
    assert matrix_axes.sizes((2, 3, 5, 7)) == (6, 5, 7)
    forms = {(): "TENSOR", (0, 1): "MATRIX", (0, 1, 2): "ROW", (0, 1, 3): "COLUMN"}
    assert {axes: Form(matrix_axes.form(axes)).name for axes in forms} == forms
    assert matrix_axes.form((0, 1, 2, 3)) == Form.ELEMENT
    assert [matrix_axes.size(axes) for axes in ((3,), (2,), (2, 3), (0, 1))] == [1, 2, 3, 4]


def test_a_size_of_the_whole_is_the_count():
    nodes = (
        (("size", (0, 1)),),
        (("size", (1,)),),
        ("div", 3, 4),
        (("sum", (0,)), 0),
        ("add", 5, 6),
    )
    program, _ = as_matrices(INPUTS, nodes, (("state.x", 7),), (0, 1))
    # numel / columns, and the sums of rows beside it
    assert program.nodes == (("columns",), ("div", 2, 3), ("row_sum", 0), ("add", 4, 5))


def test_a_size_that_is_read_keeps_its_axes_apart():
    nodes = ((("size", (1,)),), ("mul", 0, 3))
    program, found = as_matrices(INPUTS, nodes, (("state.x", 4),), (0, 1, 2))
    assert found == ((0,), (1,), (2,))
    assert program.nodes == (("rows",), ("mul", 0, 3))
    # Without it all are one.
    _, alone = as_matrices(INPUTS, (("mul", 0, 1),), (("state.x", 3),), (0, 1, 2))
    assert alone == ((), (), (0, 1, 2))


def test_what_is_made_of_elements_or_drawn_has_a_number_for_each():
    nodes = (("mul", 0, ~0), (("sum", (0,)), 3), ("uniform", ~1), (("sum", (0,)), 5))
    program, _ = as_matrices(INPUTS, nodes, (("state.x", 4), ("state.y", 6)), (0, 1))
    forms = [value.form for value in program.values[len(INPUTS) :]]
    assert forms == [Form.ELEMENT, Form.ROW, Form.ELEMENT, Form.ROW]


def test_state_has_the_form_of_its_axes():
    places = ("rows", ((0,),)), ("norm", None), ("column", ((), (1,)))
    forms = {"norm": Form.TENSOR}
    inputs = (*INPUTS, *((Place(key, forms.get(key, Form.ELEMENT)), axes) for key, axes in places))
    nodes = tuple(("mul", 0, number) for number in (3, 4, 5))
    ends = tuple((f"state.{number}", number) for number in (6, 7, 8))
    program, _ = as_matrices(inputs, nodes, ends, (0, 1))
    assert [p.form for p in program.inputs[3:]] == [Form.ROW, Form.TENSOR, Form.COLUMN]


def test_a_parameter_without_dimensions_is_a_matrix_of_one():
    assert MatrixAxes((), (), (0,)).sizes(()) == (1, 1, 1)
