"""In which order a kernel computes: whatever it reads has been made, and all is written once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import schuss
from schuss.engines.program.operations import Form
from schuss.engines.program.program import COUNT, GRAD, PARAM, Place, Program, program
from schuss.engines.program.schedule import (
    SMALLER,
    Function,
    is_saved_when_reduced,
    schedule,
)
from schuss.engines.tracing import tracer
from tests.algorithms import TRACED
from tests.conformance.matrices import ALONG, rows_and_columns, with_state_from_the_start
from tests.conformance.strangers import ELEMENTWISE, REDUCING, Ruled
from tests.conformance.trajectories import FLAT, SHAPES

INPUTS = (Place(GRAD), Place(PARAM), COUNT)


def made(nodes, **outputs):
    ends = tuple((name if name == PARAM else f"state.{name}", v) for name, v in outputs.items())
    return program(INPUTS, tuple(nodes), ends)


def test_without_statistics_there_is_one_pass_of_elements():
    found = schedule(made([("add", 0, 1)], param=3))
    assert found == [Function(0, Form.ELEMENT, (0, 1, 3), (), ((Place(PARAM), 3),), ())]


def test_a_norm_is_made_in_a_pass_before_the_one_that_needs_it():
    # v3 = grad^2, v4 = its sum, v5 = param * v4
    first, second = schedule(made([("square", 0), ("sum", 3), ("mul", 1, 4)], param=5))
    assert first == Function(0, Form.ELEMENT, (0, 3), (4,), (), ())
    # What the first pass has made is not computed again.
    assert second == Function(1, Form.ELEMENT, (1, 4, 5), (), ((Place(PARAM), 5),), ())


def test_a_sum_in_the_state_needs_no_second_pass():
    assert [f.reductions for f in schedule(made([("sum", 0)], norm=3))] == [(3,)]


def test_rows_come_between_their_sums_and_the_elements_that_need_them():
    # v3 = row sums, v4 = their root, v5 = grad / v4
    nodes = [("row_sum", 0), ("sqrt", 3), ("div", 0, 4)]
    sums, rows, elements = schedule(made(nodes, param=5, row=4))
    assert sums == Function(0, Form.ELEMENT, (0,), (3,), (), ())
    # A root for each row, not for each element: written, and kept for the elements.
    assert rows == Function(1, Form.ROW, (3, 4), (), ((Place("state.row", Form.ROW), 4),), (4,))
    assert elements == Function(1, Form.ELEMENT, (0, 4, 5), (), ((Place(PARAM), 5),), ())


def test_a_statistic_of_statistics_needs_no_function_to_be_kept():
    # v3 = row sums, v4 = the largest of a matrix, v5 = v3 / v4, v6 = grad / v5
    nodes = [("row_sum", 0), ("matrix_amax", 3), ("div", 3, 4), ("div", 0, 5)]
    program = made(nodes, param=6)
    forms = [(f.number, f.form) for f in schedule(program)]
    assert forms == [(0, Form.ELEMENT), (1, Form.ROW), (2, Form.ROW), (2, Form.ELEMENT)]
    check(program)


@pytest.fixture
def traced(monkeypatch) -> list[Program]:
    """Return a list that takes every program that is traced from here on."""
    found = []
    for name in ("program", "as_matrices"):
        original = getattr(tracer, name)

        def kept(*arguments, of=original):
            result = of(*arguments)
            found.append(result if isinstance(result, Program) else result[0])
            return result

        monkeypatch.setattr(tracer, name, kept)
    return found


def step(create, shapes):
    params = [nn.Parameter(torch.ones(shape)) for shape in shapes]
    optimizer = create(params)
    for _ in range(2):
        for param in params:
            param.grad = torch.ones(param.shape)
        optimizer.step()


@pytest.mark.parametrize("name", TRACED)
def test_every_optimizer_reads_what_has_been_made(name, traced):
    shapes = FLAT if name == "sm3" else SHAPES
    step(lambda params: schuss.create_optimizer(name, params, foreach=True), shapes)
    assert traced
    for each in traced:
        check(each)


@pytest.mark.parametrize("rule", [*ELEMENTWISE, *REDUCING, *ALONG], ids=lambda rule: rule.__name__)
def test_every_rule_of_strangers_reads_what_has_been_made(rule, traced):
    start = rows_and_columns if rule is with_state_from_the_start else lambda state, param: None
    step(lambda params: Ruled(params, rule, start, foreach=True), SHAPES)
    assert traced
    for each in traced:
        check(each)


def check(program: Program) -> None:
    """Go through a schedule as a kernel does, and check that nothing is read too early."""
    reduced: set[int] = set()
    kept: set[int] = set()
    written: list[str] = []
    for function in schedule(program):
        for value in function.needed:
            assert is_known(program, function, value, reduced, kept), (str(program), function)
        assert set(function.reductions).isdisjoint(reduced)
        # A statistic of statistics is kept where it is made.
        assert not any(is_saved_when_reduced(program, value) for value in function.saved)
        assert kept.isdisjoint(function.saved)
        reduced |= set(function.reductions)
        kept |= set(function.saved)
        written += [place.name for place, _ in function.outputs]
        if function.outputs:
            assert function.number == program.passes - 1
    of_more = [place.name for place, _ in program.outputs if not place.per_tensor]
    assert sorted(written) == sorted(of_more)
    needed = program.needed([value for _, value in program.outputs])
    assert {v for v in needed if program.is_reduction(v)} <= reduced


def is_known(
    program: Program, function: Function, value: int, reduced: set[int], kept: set[int]
) -> bool:
    """Tell whether a function can load a value, or compute it from others that it needs."""
    form = program.values[value].form
    if form in SMALLER and form is not function.form:
        # It is loaded, whatever it is: from where another function has left it.
        return value in (reduced if is_saved_when_reduced(program, value) else kept)
    if program.is_reduction(value):
        return value in reduced
    return all(operand in function.needed for operand in program.operands(value) if operand >= 0)
