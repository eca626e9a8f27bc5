"""What the text of a kernel computes, interpreted by Python; torch's operations are the oracle."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from schuss.engines.cohorts.matrix_view import MatrixView
from schuss.engines.devices.cpu.expressions import EXPRESSIONS
from schuss.engines.devices.cpu.printing.module import kernel_source
from schuss.engines.foreach.instructions import instructions
from schuss.engines.foreach.player import play
from schuss.engines.program.as_matrices import MatrixAxes
from schuss.engines.program.axes import layout
from schuss.engines.program.operations import OPERATIONS, Form, takes_predicate
from schuss.engines.program.program import COUNT, GRAD, PARAM, STATE, Place, Program, program
from schuss.storage.halves import COMPARISONS, FUNCTIONS
from schuss.storage.kinds import Kinds
from tests.engines.kernels.interpreted import Interpreted, in_small_pieces, interpreted

DOUBLE = torch.float64
INPUTS = (Place(GRAD), Place(PARAM), COUNT, Place(STATE + "x"), Place(STATE + "y"))
OPERANDS = (0, 1, 3, 4)

NUMBERS = [0.0, -0.0, 0.5, -2.0, 1e-3, 7.0, math.inf, -math.inf, math.nan]


@pytest.fixture(scope="module", autouse=True)
def small_pieces():
    with in_small_pieces():
        yield


def arity(operation: str) -> int:
    return 1 + max(map(int, re.findall(r"\{(\d)\}", EXPRESSIONS[operation])))


def cases(operation: str) -> list[tuple[float, ...]]:
    """Return operands: all pairs of unusual numbers, and for more some of all combinations."""
    many = list(itertools.product(NUMBERS, repeat=arity(operation)))[
        :: 1 + 4 * (arity(operation) > 2)
    ]
    if operation.startswith("clamp"):  # to which a bound is a number that is one
        many = [each for each in many if not math.isnan(each[1])]
    if operation.startswith("join"):  # numbers of bfloat16, and remainders
        remainders = [-128.0, -1.0, 0.0, 1.0, 127.0]
        many = list(itertools.product([*NUMBERS[:4], 1.5, *NUMBERS[6:]], remainders))
    if operation.startswith(("upper", "lower")):
        many += [(1 + 2.0**-8,), (1 + 2.0**-8 + 2.0**-20,), (-3 - 2.0**-17 + 2.0**-22,), (3.4e38,)]
    if operation == "stochastic":  # a number, a stream, a step
        numbers = [*NUMBERS, 1 + 2.0**-9, 1 + 2.0**-9, -3.14159, 3.4e38]
        many = list(itertools.product(numbers, [0.0, 7.0], [0.0, 1.0, 99.0]))
    if operation.startswith("rounds_to"):  # the second is of half precision
        many += [(1 + 2.0**-12, 1.0), (1.5 + 2.0**-7, 1.5)]
    return many


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_is_printed_as_torch_computes_it(operation):
    dtype = torch.float32 if operation in {*FUNCTIONS, *COMPARISONS} else DOUBLE
    columns = [torch.tensor(column, dtype=dtype) for column in zip(*cases(operation), strict=True)]
    columns += [torch.zeros_like(columns[0]) for _ in range(4 - len(columns))]
    nodes: list[Any] = []
    operands: list[int] = []
    expected: list[Tensor] = []
    for position, number in enumerate(OPERANDS[: arity(operation)]):
        if takes_predicate(operation, position):
            nodes.append(("gt", number, ~0))
            operands.append(len(INPUTS) + len(nodes) - 1)
            expected.append(columns[position] > 0.25)
        else:
            operands.append(number)
            expected.append(columns[position])
    nodes.append((operation, *operands))
    ends = ((PARAM, len(INPUTS) + len(nodes) - 1),)
    places = [place for place in INPUTS if place != COUNT]
    at = {place: [column.clone()] for place, column in zip(places, columns, strict=True)}
    interpreted(program(INPUTS, tuple(nodes), ends), at, [0.25])
    found = at[Place(PARAM)][0]
    # Of functions of the C library the last bits may differ.
    torch.testing.assert_close(
        found,
        OPERATIONS[operation].function(*expected).to(dtype),
        rtol=1e-14,
        atol=0,
        equal_nan=True,
    )


ELEMENTWISE = {"add": 2, "sub": 2, "mul": 2, "maximum": 2, "lerp": 3, "abs": 1, "gt": 2, "where": 3}
REDUCED = ("sum", "amax", "amin")


@st.composite
def programs(draw, *, with_matrices: bool):
    """Draw a program on one element, with statistics of all kinds, and its arguments."""
    forms = [place.form for place in INPUTS]
    nodes: list[tuple[Any, ...]] = []

    def operand(least: int = -2) -> int:
        return draw(st.integers(least, len(forms) - 1))

    def add(*node: Any) -> int:
        nodes.append(node)
        made = program(INPUTS, (*nodes,), ((STATE + "probe", len(INPUTS) + len(nodes) - 1),))
        # A node that repeats another one has its form.
        forms.append(dict(made.outputs).popitem()[0].form)
        return len(forms) - 1

    node: tuple[Any, ...]
    for _ in range(draw(st.integers(1, 7))):
        source = draw(st.integers(0, len(forms) - 1))
        kinds = ["elementwise", "whole"]
        if with_matrices:
            kinds += ["along", "along", "size", "spread"]
        kind = draw(st.sampled_from(kinds))
        if kind == "whole" and forms[source] is not Form.TENSOR:
            node = (draw(st.sampled_from(REDUCED)), source)
        elif kind == "along" and forms[source] in (Form.ELEMENT, Form.ROW, Form.COLUMN):
            # Of elements there are rows and columns at first, and matrices of these.
            to = [Form.ROW, Form.COLUMN] if forms[source] is Form.ELEMENT else [Form.MATRIX]
            form = draw(st.sampled_from(to))
            node = (f"{form.name.lower()}_{draw(st.sampled_from(REDUCED))}", source)
        elif kind == "size":
            node = (draw(st.sampled_from(["rows", "columns", "matrices_by_rows"])),)
        elif kind == "spread":
            node = (f"{draw(st.sampled_from(['row', 'column', 'matrix']))}_spread", ~0)
        else:
            operation = draw(st.sampled_from(sorted(ELEMENTWISE)))
            more = [operand() for _ in range(ELEMENTWISE[operation] - 1)]
            if operation == "lerp":  # towards a tensor, as torch asks for
                more[0] = operand(0)
            if operation == "where":  # torch asks for a truth value
                source = add("gt", source, ~0)
            node = (operation, source, *more)
        add(*node)
    last = len(forms) - 1
    elements = [number for number, form in enumerate(forms) if form is Form.ELEMENT]
    ends = ((PARAM, draw(st.sampled_from(elements))), (STATE + "made", last))
    return program(INPUTS, tuple(nodes), ends), [0.5, -1.25]


def filled(shape: tuple[int, ...], seed: int) -> Tensor:
    # Sums of few quarters are exact, whatever their order.
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-8, 9, shape, generator=generator).to(DOUBLE) / 4


def check(made: Program, arguments: list[float], shapes: list[tuple[int, int, int]]) -> None:
    """Compare a kernel with torch's operations, on tensors of which the second has no gradient."""
    places = [place for place in made.inputs if place != COUNT]
    start = {p: [filled(s, 7 * n + k) for k, s in enumerate(shapes)] for n, p in enumerate(places)}
    axes = MatrixAxes((0,), (1,), (2,))
    views = [MatrixView(axes, layout(s)._replace(sizes=s), {}) for s in shapes]
    counts = [torch.tensor(float(math.prod(s)), dtype=DOUBLE) for s in shapes]
    inputs = [counts if p == COUNT else [x.clone() for x in start[p]] for p in made.inputs]
    plan = instructions(made)
    numbers = plan.contracted.numbers(arguments)
    values = play(plan, numbers, {n: inputs[n] for n in plan.inputs}, inputs[1], {}, views)
    expected = {place: x for (place, _), x in zip(made.outputs, values, strict=True)}
    at: dict[Place, list[Any]] = {place: [x.clone() for x in start[place]] for place in places}
    for place, _ in made.outputs:
        if place not in at:
            shapes_there = [view.shape(place.form) for view in views]
            at[place] = [torch.full(shape, 99.0, dtype=DOUBLE) for shape in shapes_there]
    before = {place: tensors[1].clone() for place, tensors in at.items()}
    at[Place(GRAD)][1] = None
    interpreted(made, at, arguments, shapes)
    for place, tensors in expected.items():
        for index, tensor in enumerate(tensors):
            wanted = before[place] if index == 1 else tensor.to(DOUBLE)
            torch.testing.assert_close(at[place][index], wanted.expand_as(at[place][index]))
    for place in places:
        if place not in expected and place != Place(GRAD):
            assert all(map(torch.equal, at[place], start[place]))


@settings(max_examples=60)
@given(programs(with_matrices=False))
def test_a_program_of_elements_is_printed_as_torch_plays_it(drawn):
    made, arguments = drawn
    check(made, arguments, [(1, 1, 13), (1, 1, 4), (1, 1, 1), (1, 1, 5)])


@settings(max_examples=60)
@given(programs(with_matrices=True))
def test_a_program_of_matrices_is_printed_as_torch_plays_it(drawn):
    made, arguments = drawn
    check(made, arguments, [(2, 5, 7), (1, 2, 2), (1, 1, 1), (3, 2, 1), (1, 9, 4)])


def test_a_division_by_an_argument_is_a_product_with_its_reciprocal():
    made = program(INPUTS, (("div", 1, ~0), ("div", ~1, 5)), ((PARAM, 6),))
    param = torch.tensor([3.0, 5.0], dtype=DOUBLE)
    at = {place: [torch.zeros(2, dtype=DOUBLE)] for place in INPUTS if place != COUNT}
    at[Place(PARAM)] = [param]
    interpreted(made, at, [49.0, 2.0])
    # 2 / (3 * (1 / 49)), whose last bits differ from those of 2 / (3 / 49)
    assert param.tolist() == [2 / (x * (1 / 49)) for x in (3.0, 5.0)]
    assert param.tolist() != [2 / (x / 49) for x in (3.0, 5.0)]


def test_every_element_of_every_tensor_draws_for_itself():
    made = program(INPUTS, (("uniform", ~0), ("mul", 1, 5)), ((PARAM, 6),))
    shapes = [(7,), (3,)]
    at = {
        place: [torch.ones(shape, dtype=DOUBLE) for shape in shapes]
        for place in INPUTS
        if place != COUNT
    }
    device: Any = Interpreted()
    interpreted(made, at, [3.0], device=device)
    expected = [(3, tensor, element) for tensor in range(2) for element in range(shapes[tensor][0])]
    assert sorted(device.drawn) == expected
    assert at[Place(PARAM)][0].tolist() == [0.5] * 7


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_wide_and_rounded_once(dtype):
    # 1 + 2**-13 rounds to 1; added 64 times before it is rounded, it does not.
    nodes = [("add", 1, ~0)]
    nodes += [("add", len(INPUTS) + n, ~0) for n in range(63)]
    made = program(INPUTS, tuple(nodes), ((PARAM, len(INPUTS) + 63),))
    at = {place: [torch.ones(3, dtype=dtype)] for place in INPUTS if place != COUNT}
    interpreted(made, at, [2.0**-13])
    assert at[Place(PARAM)][0].tolist() == [1 + 2.0**-7] * 3


def printed(nodes: list[Any], ends: list[tuple[str, int]], **kinds: str) -> str:
    """Return the text of a kernel in float32, with other kinds of numbers at some places."""
    at = {place.name: "float32" for place in INPUTS if place != COUNT}
    at |= {GRAD: "bfloat16", **{STATE + key: kind for key, kind in kinds.items()}}
    made = program(INPUTS, tuple(nodes), tuple(ends))
    return kernel_source(made, Kinds("float32", tuple(at.items()), "bfloat16")).text


def test_numbers_and_truth_values_are_made_of_each_other_where_one_is_needed():
    text = printed([("gt", 0, 1), ("add", 3, 5), ("logical_not", 4)], [(PARAM, 6), ("state.x", 7)])
    assert "v5 = v0 > v1\n" in text
    assert "v6 = v3 + (one if v5 else zero)\n" in text
    assert "v7 = not (v4 != zero)\n" in text
    assert "store_float32(p3, i, (one if v7 else zero))\n" in text


def test_a_number_is_loaded_in_the_precision_that_is_computed_in():
    text = printed([("add", 0, 3), ("add", 4, 5)], [(PARAM, 6)], x="float64", y="float32")
    assert "v0 = load_bfloat16(p0, i)\n" in text  # which gives a float32
    assert "v3 = real(load_float64(p3, i))\n" in text
    assert "v4 = load_float32(p4, i)\n" in text


def test_new_state_is_stored_like_the_parameter_and_a_new_number_as_it_was_computed():
    text = printed([("sum", 0), ("abs", 0)], [("state.norm", 5), ("state.new", 6)])
    assert "store_bfloat16(p6, i, v6)\n" in text
    assert "store_float32(p5, 0, v5)\n" in text


def test_a_divisor_that_is_a_value_is_divided_by_whatever_its_number():
    text = printed([("div", 1, 0), ("div", 5, ~0)], [(PARAM, 6)])
    assert "v5 = v1 / v0\n" in text
    assert "v6 = v5 * r0\n" in text
    assert "r0 = real(1 / load_float64(arguments, 0))\n" in text
    assert "a0" not in text
