"""Operations on lists do what they do to each tensor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from schuss.engines.foreach import lists
from schuss.engines.foreach.lists import (
    Generators,
    drawn,
    function_of,
    has_function,
    one_by_one,
)
from schuss.engines.program.operations import OPERATIONS

DOUBLE = torch.float64
SIZES = ((3,), (2, 2), ())

COUNTS = {"addcdiv": 4, "addcmul": 4, "add_scaled": 3, "lerp": 3, "where": 3}
"""How many operands operations have, if not two."""
COUNTS |= dict.fromkeys(["abs", "cube_root", "exp", "log", "logical_not", "neg", "reciprocal"], 1)
COUNTS |= dict.fromkeys(["rsqrt", "sign", "sqrt", "square", "tanh"], 1)


def tensors(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(size, generator=generator, dtype=DOUBLE) + 0.5 for size in SIZES]


def operands_of(operation: str, *, number: Any = None) -> list[Any]:
    """Return tensors, the last of them a number if one is given."""
    found: list[Any] = [tensors(seed) for seed in range(COUNTS.get(operation, 2))]
    return [*found[:-1], number] if number is not None else found


WITH_NUMBER = [
    name
    for name in OPERATIONS
    if has_function(name, [False] * (len(operands_of(name)) - 1) + [True])
    and len(operands_of(name)) > 1
]
OF_TENSORS = [name for name in OPERATIONS if has_function(name, [False] * len(operands_of(name)))]


def expected(operation: str, operands: list[Any]) -> list[Tensor]:
    columns = [x if isinstance(x, list) else [x] * len(SIZES) for x in operands]
    function = OPERATIONS[operation].function
    found = []
    for each in zip(*columns, strict=True):
        plain = [torch.tensor(x, dtype=DOUBLE) if isinstance(x, float) else x for x in each]
        found.append(function(*plain))
    return found


def together(operation: str, operands: list[Any], over: int | None) -> list[Tensor]:
    made = function_of(operation, over)(*operands)
    return list(made) if over is None else operands[over]


def check(operation: str, operands: list[Any], over: int | None) -> None:
    wanted = expected(operation, operands)
    copies = [
        [x.clone() if isinstance(x, Tensor) else x for x in o] if isinstance(o, list) else o
        for o in operands
    ]
    made = together(operation, operands, over)
    torch.testing.assert_close(made, wanted, rtol=1e-15, atol=0)  # a product may be contracted
    for position, (operand, copy) in enumerate(zip(operands, copies, strict=True)):
        if position == over:
            assert all(x is y for x, y in zip(made, operand, strict=True))
        elif isinstance(operand, list) and isinstance(operand[0], Tensor):
            assert all(map(torch.equal, operand, copy))


@pytest.mark.parametrize("over", [None, 0])
@pytest.mark.parametrize("operation", OF_TENSORS)
def test_an_operation_on_tensors_is_that_on_each(operation, over):
    check(operation, operands_of(operation), over)


@pytest.mark.parametrize("over", [None, 0])
@pytest.mark.parametrize("operation", WITH_NUMBER)
def test_an_operation_with_a_number_is_that_on_each(operation, over):
    check(operation, operands_of(operation, number=0.3), over)


@pytest.mark.parametrize("over", [None, 0])
@pytest.mark.parametrize("operation", WITH_NUMBER)
def test_an_operation_with_a_number_for_each_tensor_is_that_on_each(operation, over):
    check(operation, operands_of(operation, number=[0.3, 2.0, 0.7]), over)


@pytest.mark.parametrize("operation", ["add", "mul", "maximum", "minimum"])
def test_the_second_operand_may_take_the_result(operation):
    check(operation, operands_of(operation), over=1)


def test_most_operations_have_functions_on_lists():
    assert {"add_scaled", "addcdiv", "addcmul", "lerp", "pow", "maximum"} <= {*WITH_NUMBER}
    assert {"cube_root", "lerp", "mul", "neg", "sqrt", "square"} <= {*OF_TENSORS}
    assert {"atan2", "where", "eq", "full"}.isdisjoint(OF_TENSORS)
    assert not has_function("sub", [True, False])  # a number minus tensors


def test_one_by_one_takes_numbers_for_each_tensor_and_truth_values():
    x, y = tensors(0), [torch.ones(size, dtype=DOUBLE) for size in SIZES]
    assert one_by_one("gt", [x, [0.0, 9.0, 0.0]], DOUBLE)[1].tolist() == [[False] * 2] * 2
    truth = one_by_one("gt", [x, 0.0], DOUBLE)
    found = one_by_one("where", [truth, y, 7.0], DOUBLE)
    assert all(map(torch.equal, found, y))


@pytest.mark.parametrize("call", [together, one_by_one])
def test_numbers_are_on_no_default_device(call):
    last, x = None if call is together else DOUBLE, tensors(0)
    with torch.device("meta"):
        found = call("mul", [x, 2.0], last)
    assert found[0].tolist() == (2 * x[0]).tolist()


def test_random_numbers_differ_by_tensor_and_seed_and_are_the_same_again():
    like = [torch.empty(4) for _ in range(3)]
    first, second, third = drawn(0, "normal", [1.0, 1.0, 2.0], like, {})
    assert not torch.equal(first, second)
    assert not torch.equal(first, third)
    again = drawn(0, "normal", [1.0, 1.0, 2.0], like, {})
    assert all(map(torch.equal, again, [first, second, third]))
    of_one = drawn(0, "normal", 1.0, like, {})
    assert torch.equal(of_one[0], first)
    assert torch.equal(of_one[1], second)


def test_random_numbers_go_on_from_one_piece_to_the_next():
    like = [torch.empty(4) for _ in range(3)]
    at_once = drawn(0, "normal", 1.0, like, {})
    generators: Generators = {}
    pieces = [drawn(0, "normal", 1.0, [each], generators)[0] for each in like]
    assert all(map(torch.equal, pieces, at_once))
    of_another = drawn(1, "normal", 1.0, like[:1], generators)
    assert torch.equal(of_another[0], at_once[0])


@pytest.mark.parametrize("over", [None, 0])
def test_an_older_torch_takes_means_with_weights_of_their_own_one_by_one(over, monkeypatch):
    function_of.cache_clear()
    monkeypatch.setattr(lists, "_takes_numbers", lambda operation: False)
    check("lerp", operands_of("lerp", number=[0.3, 2.0, 0.7]), over)
    check("lerp", operands_of("lerp", number=0.3), over)
    function_of.cache_clear()
