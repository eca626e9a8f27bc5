"""Tensors seen as batches of matrices: there and back, and what is made or reduced there."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from schuss.engines.cohorts.matrix_view import MatrixView, reduced
from schuss.engines.program.as_matrices import MatrixAxes
from schuss.engines.program.axes import layout
from schuss.engines.program.operations import SIZES, Form

AXES = MatrixAxes((0,), (1, 2), (3,))
SHAPE = (2, 3, 5, 7)
VIEW = MatrixView(AXES, layout(SHAPE), {"of_rows": ((1,), (2,)), "turned": ((3,), ())})


@pytest.mark.parametrize(
    ("form", "shape"),
    [
        (Form.ELEMENT, (2, 15, 7)),
        (Form.ROW, (2, 15, 1)),
        (Form.COLUMN, (2, 1, 7)),
        (Form.MATRIX, (2, 1, 1)),
        (Form.TENSOR, ()),
    ],
)
def test_a_form_has_a_size_for_each_of_matrices_rows_and_columns(form, shape):
    assert VIEW.shape(form) == shape


def test_what_is_in_a_state_has_the_shape_of_its_axes():
    assert VIEW.shape_at("like the parameter") == SHAPE
    assert VIEW.shape_at("of_rows") == (3, 5)
    assert VIEW.shape_at("turned") == (7, 1)


@given(st.sampled_from(["param", "of_rows", "turned"]))
def test_there_and_back_is_the_same(key):
    form = {"param": Form.ELEMENT, "of_rows": Form.ROW, "turned": Form.COLUMN}[key]
    view = MatrixView(MatrixAxes((), (1, 2), (3,)), layout((1, *SHAPE[1:])), VIEW._axes)
    tensor = torch.arange(float(math.prod(view.shape(form))))
    there = view.seen(tensor.view(view.shape_at(key)), form)
    assert there.shape == view.shape(form)
    back = view.as_state(there, key)
    assert back.shape == view.shape_at(key)
    assert torch.equal(back.flatten(), tensor)


def test_a_number_remains_a_number_unless_its_state_has_dimensions():
    number = torch.tensor(2.0)
    assert VIEW.as_state(number, "norm") is number
    view = MatrixView(AXES, layout(SHAPE), {"norm": ((), ())})
    assert view.as_state(number, "norm").shape == (1, 1)


@pytest.mark.parametrize("operation", SIZES)
def test_a_size_is_a_product_of_the_sizes_that_it_names(operation):
    by_name = {"matrices": 2.0, "rows": 15.0, "columns": 7.0}
    expected = math.prod(by_name[name] for name in operation.split("_by_"))
    made = VIEW.made(operation, torch.zeros(3, dtype=torch.float64))
    assert (made.item(), made.dtype) == (expected, torch.float64)


@pytest.mark.parametrize("x", [3.0, torch.tensor(3.0)], ids=["number", "tensor"])
@pytest.mark.parametrize("form", list(Form), ids=lambda form: form.name)
def test_a_number_is_repeated_in_the_shape_of_a_form(form, x):
    made = VIEW.made(f"{form.name.lower()}_spread", torch.zeros(2), x)
    assert made.shape == VIEW.shape(form)
    assert (made == 3).all()


@pytest.mark.parametrize(
    ("operation", "gone"),
    [("row_sum", 2), ("column_amax", 1), ("matrix_amin", (1, 2)), ("sum", (0, 1, 2))],
)
def test_a_reduction_leaves_a_number_for_each_of_its_form(operation, gone):
    x = torch.randn(2, 15, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    name = operation.rpartition("_")[-1]
    expected = getattr(x, name)(gone)
    found = reduced(operation, x)
    assert torch.equal(found.flatten(), expected.flatten())
    assert found.dim() == (0 if operation == "sum" else 3)
