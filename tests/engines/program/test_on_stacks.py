"""A function of a stack does with each tensor in it what it does with the tensor alone."""

from __future__ import annotations

import pytest
import torch

from schuss.engines.program.on_stacks import on_stacks
from schuss.matrices import orthogonalized

COUNT = 3
SHAPE = (4, 6)

ALONE = {
    "abs": lambda f, x: f(x),
    "mul": lambda f, x: f(x, 2.0),
    "add": lambda f, x: f(x, 0.5, alpha=2),
    "clamp": lambda f, x: f(x, min=-0.5, max=0.25),
    "pow": lambda f, x: f(x, 3),
    "tanh": lambda f, x: f(x),
    "to": lambda f, x: f(x, torch.float32),
    "bfloat16": lambda f, x: f(x),
}


def stack(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((COUNT, *SHAPE), generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", ALONE)
def test_a_function_of_elements_takes_the_stack(name):
    function, x = getattr(torch.Tensor, name), stack()
    found = on_stacks(function, [SHAPE])
    assert found is not None
    expected = torch.stack([ALONE[name](function, each) for each in x])
    assert torch.equal(ALONE[name](found, x), expected)


@pytest.mark.parametrize("name", ["__add__", "__mul__", "lerp", "atan2"])
def test_operands_of_one_shape_are_stacks_side_by_side(name):
    function, x, y = getattr(torch.Tensor, name), stack(), stack(1)
    more = (0.25,) if name == "lerp" else ()
    found = on_stacks(function, [SHAPE, SHAPE])
    assert found is not None
    expected = torch.stack([function(a, b, *more) for a, b in zip(x, y, strict=True)])
    assert torch.equal(found(x, y, *more), expected)


def test_a_tensor_that_all_share_is_repeated_for_each():
    x, shared = stack(), stack(1)[0]
    found = on_stacks(torch.mul, [SHAPE, SHAPE])
    assert found is not None
    assert torch.equal(found(x, shared), torch.stack([each * shared for each in x]))


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (torch.mul, [SHAPE, SHAPE[1:]]),  # a row of each tensor would meet rows of others
        (torch.add, [SHAPE, ()]),
        (torch.matmul, [SHAPE, SHAPE[1:]]),  # a vector of each tensor would be one row of a stack
        (torch.matmul, [SHAPE[1:], SHAPE[1:]]),
        (torch.mv, [SHAPE, SHAPE[1:]]),
        (torch.dot, [SHAPE[1:], SHAPE[1:]]),
        (torch.sum, [SHAPE]),
        (torch.linalg.qr, [SHAPE]),
        (torch.reshape, [SHAPE, SHAPE]),
        (torch.transpose, [SHAPE, SHAPE]),
        (torch.t, [SHAPE]),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_any_other_is_called_for_each_tensor(function, shapes):
    assert on_stacks(function, shapes) is None


SHAPES = [((6, 4),), ((-1,),), ([2, 12],), (3, 8), (2, -1), ((1, 4, 6),), (torch.Size((24,)),)]


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
@pytest.mark.parametrize("keyword", [False, True])
def test_a_new_shape_is_that_of_each_tensor(sizes, keyword):
    x = stack()
    found = on_stacks(torch.reshape, [SHAPE])
    assert found is not None
    made = found(x, shape=sizes[0] if len(sizes) == 1 else sizes) if keyword else found(x, *sizes)
    assert torch.equal(made, torch.stack([each.reshape(*sizes) for each in x]))


@pytest.mark.parametrize("function", [torch.matmul, torch.mm, torch.Tensor.__matmul__])
@pytest.mark.parametrize("is_shared", [False, True])
def test_products_of_matrices_are_products_of_stacks(function, is_shared):
    x, y = stack(), stack(1).mT
    y = y[:1] if is_shared else y
    found = on_stacks(function, [SHAPE, SHAPE[::-1]])
    assert found is not None
    made = found(x, y[0] if is_shared else y)
    each = [a @ b for a, b in zip(x, y.expand(COUNT, -1, -1), strict=True)]
    torch.testing.assert_close(made, torch.stack(each), rtol=1e-14, atol=1e-14)


def test_batches_of_matrices_are_multiplied_so_too():
    x = stack().reshape(COUNT, 2, 2, 6)
    found = on_stacks(torch.bmm, [(2, 2, 6), (2, 6, 2)])
    assert found is not None
    expected = torch.stack([torch.bmm(each, each.mT) for each in x])
    torch.testing.assert_close(found(x, x.mT), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("dims", [(0, 1), (-1, -2), (1, -3), (2, 0)], ids=str)
@pytest.mark.parametrize("named", [False, True])
def test_dimensions_are_exchanged_within_each_tensor(dims, named):
    x = stack().reshape(COUNT, 2, 2, 6)
    found = on_stacks(torch.transpose, [(2, 2, 6)])
    assert found is not None
    made = found(x, dim0=dims[0], dim1=dims[1]) if named else found(x, *dims)
    assert torch.equal(made, torch.stack([each.transpose(*dims) for each in x]))


@pytest.mark.parametrize(
    ("args", "named"),
    [(((2, 0, 1),), {}), ((2, 0, 1), {}), (([-1, 0, -2],), {}), ((), {"dims": (1, 2, 0)})],
    ids=str,
)
def test_dimensions_are_put_into_another_order_within_each_tensor(args, named):
    x = stack().reshape(COUNT, 2, 2, 6)
    found = on_stacks(torch.permute, [(2, 2, 6)])
    assert found is not None
    assert torch.equal(
        found(x, *args, **named), torch.stack([y.permute(*args, **named) for y in x])
    )


def test_a_function_that_says_so_takes_stacks_of_any_shapes():
    assert on_stacks(orthogonalized, [SHAPE]) is orthogonalized
    x = stack()
    found = orthogonalized(x, precision="float32")
    each = [orthogonalized(matrix, precision="float32") for matrix in x]
    torch.testing.assert_close(found, torch.stack(each), rtol=1e-12, atol=1e-12)
