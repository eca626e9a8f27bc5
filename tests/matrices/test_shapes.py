"""Parameters as matrices: there and back, and the ones that are refused."""

from __future__ import annotations

import io
import json

import pytest
import torch

from schuss.matrices import Dims, Heads, Split, as_matrices, from_matrices
from schuss.matrices.shapes import MATRICES, check_all, check_matrices, matrix_shapes

CASES = [
    ((6, 4), None, [(1, 6, 4)]),
    ((6, 4, 3, 3), "flatten", [(1, 6, 36)]),
    ((6, 4), "flatten", [(1, 6, 4)]),
    ((5, 6, 4), "batch", [(5, 6, 4)]),
    ((2, 5, 6, 4), "batch", [(10, 6, 4)]),
    ((6, 4), Heads(3), [(3, 2, 4)]),
    ((6, 4), Heads(2, dim=1), [(2, 6, 2)]),
    ((6, 4), Split(3, 2, 1), [(1, 3, 4), (1, 2, 4), (1, 1, 4)]),
    ((6, 4), Split(2, 2, 2), [(3, 2, 4)]),
    ((6, 4), Split(1, 3, dim=1), [(1, 6, 1), (1, 6, 3)]),
    ((6, 4), Dims(rows=(1,), cols=(0,)), [(1, 4, 6)]),
    ((5, 6, 4, 3), Dims(rows=(0, 2), cols=(1,)), [(3, 20, 6)]),
    ((5, 6, 4, 3), Dims(rows=(3,), cols=(2, 0)), [(6, 3, 20)]),
    ((0, 4), Heads(2), [(2, 0, 4)]),
    ((0, 4, 3), "batch", [(0, 4, 3)]),
    ((0, 4, 3), "flatten", [(1, 0, 12)]),
]


@pytest.mark.parametrize(("shape", "matrices", "shapes"), CASES, ids=str)
def test_a_tensor_becomes_matrices_and_itself_again(shape, matrices, shapes):
    x = torch.arange(float(torch.Size(shape).numel())).reshape(shape)
    check_matrices(x, matrices)
    stacks = as_matrices(x, matrices)
    assert [tuple(stack.shape) for stack in stacks] == shapes == matrix_shapes(shape, matrices)
    assert torch.equal(from_matrices(stacks, shape, matrices), x)
    mapped = torch.vmap(lambda y: from_matrices(as_matrices(y, matrices), shape, matrices))
    assert torch.equal(mapped(torch.stack([x, -x])), torch.stack([x, -x]))


def test_matrices_hold_the_numbers_that_belong_together():
    x = torch.arange(24).reshape(6, 4)
    assert torch.equal(as_matrices(x, Heads(3))[0][1], x[2:4])
    assert torch.equal(as_matrices(x, Heads(2, dim=1))[0][1], x[:, 2:])
    assert torch.equal(as_matrices(x, Split(3, 2, 1))[1][0], x[3:5])
    assert torch.equal(as_matrices(x, Split(2, 2, dim=1))[0][1], x[:, 2:])
    assert torch.equal(as_matrices(x, Dims(rows=(1,), cols=(0,)))[0][0], x.mT)
    y = torch.arange(120).reshape(2, 3, 4, 5)
    stack = as_matrices(y, Dims(rows=(0, 3), cols=(2,)))[0]
    assert stack[1, 5 * 1 + 2, 3] == y[1, 1, 3, 2]


def test_the_option_survives_files():
    for matrices in (case[1] for case in CASES):
        buffer = io.BytesIO()
        torch.save({"matrices": matrices}, buffer)
        buffer.seek(0)
        assert torch.load(buffer, weights_only=True)["matrices"] == matrices
        text = json.loads(json.dumps(matrices))
        MATRICES.check("matrices", text)
        assert MATRICES.plain(text) == matrices


@pytest.mark.parametrize(
    ("shape", "matrices", "message"),
    [
        ((3,), None, "shape (3,), which is no matrix; give biases, gains and other vectors to"),
        ((), "flatten", "shape (), which is no matrix"),
        ((2, 3, 4), None, "add matrices='flatten' to its group for a convolution, 'batch' for a"),
        ((2, 3, 4), Heads(2), "divides parameters of two dimensions"),
        ((10, 3), Heads(4), "10 rows cannot be divided among 4 heads"),
        ((10, 3), Heads(2, dim=1), "3 columns cannot be divided among 2 heads"),
        ((10, 3), Split(4, 4), "blocks of 4 + 4 = 8 rows are not its 10"),
        ((10, 3), ("split", [4, 4], 0), "blocks of 4 + 4 = 8 rows are not its 10"),
        ((10, 3), Dims(rows=(0,), cols=(2,)), "has 2 dimensions, and matrices="),
    ],
    ids=str,
)
def test_a_shape_that_does_not_fit_is_refused_with_the_remedy(shape, matrices, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the message is compared below
        check_matrices(torch.zeros(shape), matrices)
    assert message in str(caught.value)


def test_an_error_names_the_parameter():
    weights = [torch.zeros(2, 2), torch.zeros(3)]
    with pytest.raises(ValueError, match=r"but for parameter 1: it has shape \(3,\)"):
        check_all({"params": weights, "matrices": None})
    with pytest.raises(ValueError, match="but for parameter 'fc.bias': it has"):
        check_all({"params": weights, "param_names": ["fc.weight", "fc.bias"]})
    with pytest.raises(TypeError, match="it is torch.complex64, and only real matrices"):
        check_all({"params": [torch.zeros(2, 2, dtype=torch.complex64)]})


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("rows", ValueError),
        (3, TypeError),
        (("heads", 0, 0), ValueError),
        (("heads", 2, 2), ValueError),
        (("heads", 2.0, 0), ValueError),
        (("split", (), 0), ValueError),
        (("split", (3, 0), 0), ValueError),
        (("dims", (0,), (0,)), ValueError),
        (("dims", (-1,), (0,)), ValueError),
        (("tiles", 2, 2), ValueError),
        (("heads", 2), ValueError),
    ],
    ids=str,
)
def test_another_value_is_refused(value, error):
    with pytest.raises(error, match="what Heads, Split or Dims of schuss.matrices return"):
        MATRICES.check("matrices", value)
