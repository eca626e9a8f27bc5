"""Fewer operations than a program has: the same numbers, and nothing that others need is gone."""

from __future__ import annotations

import math

import pytest

from schuss.engines.foreach.contracted import Contracted, contracted
from schuss.engines.program.program import COUNT, GRAD, PARAM, STATE, Node, Place, program

INPUTS = (Place(GRAD), Place(PARAM), COUNT, Place(STATE + "m"))
G, P, N, M = range(4)
A, B, C = ~0, ~1, ~2


def of(*nodes: Node, also: int | None = None) -> Contracted:
    """Contract a program whose last value is the parameter; `also` goes to the state."""
    last = len(INPUTS) + len(nodes) - 1
    ends = ((PARAM, last),) if also is None else ((PARAM, last), (STATE + "m", also))
    return contracted(program(INPUTS, nodes, ends))


@pytest.mark.parametrize(
    ("term", "whole", "expected", "factor"),
    [
        (("mul", M, A), ("add", P, 4), ("add_scaled", P, M, A), None),
        (("mul", A, M), ("add", 4, P), ("add_scaled", P, M, A), None),
        (("mul", M, A), ("sub", P, 4), ("add_scaled", P, M, B), -0.5),
        (("mul", M, G), ("add", P, 4), ("addcmul", P, M, G, A), 1.0),
        (("div", M, G), ("add", P, 4), ("addcdiv", P, M, G, A), 1.0),
        (("mul", M, G), ("add_scaled", P, 4, A), ("addcmul", P, M, G, A), None),
        (("div", M, G), ("add_scaled", P, 4, A), ("addcdiv", P, M, G, A), None),
        (("mul", M, B), ("add_scaled", P, 4, A), ("add_scaled", P, M, C), 0.5 * 4),
        (("div", M, B), ("add_scaled", P, 4, A), ("add_scaled", P, M, C), 0.5 / 4),
        (("div", M, B), ("addcmul", P, 4, G, A), ("addcmul", P, M, G, C), 0.5 / 4),
    ],
)
def test_a_product_or_quotient_is_part_of_the_sum_that_it_is_for(term, whole, expected, factor):
    made = of(term, whole)
    assert made.nodes == {5: expected}
    numbers = made.numbers([0.5, 4.0])
    if factor is not None:
        assert numbers[~expected[-1]] == factor


@pytest.mark.parametrize(
    ("term", "whole"),
    [
        (("div", A, M), ("add_scaled", P, 4, B)),  # no function divides a number
        (("mul", M, G), ("sub", P, 4)),
        (("mul", M, G), ("sub", 4, P)),
        (("mul", M, N), ("add", P, 4)),  # one number for each tensor
        (("add", M, G), ("add_scaled", P, 4, A)),
    ],
)
def test_other_operations_stay_as_they_are(term, whole):
    assert of(term, whole).nodes == {4: term, 5: whole}


def test_a_value_that_is_needed_elsewhere_is_made():
    nodes = (("mul", M, A), ("add", P, 4))
    assert of(*nodes, also=4).nodes == {4: nodes[0], 5: nodes[1]}
    more = (*nodes, ("mul", 5, 4))
    assert of(*more).nodes == dict(enumerate(more, start=4))


def test_a_chain_becomes_one_operation():
    # p + a * ((m / b) / (g * c)), as Adam has it: the factor is a / b.
    made = of(("div", M, B), ("mul", G, C), ("div", 4, 5), ("add_scaled", P, 6, A))
    assert made.nodes == {5: ("mul", G, C), 7: ("addcdiv", P, M, 5, ~3)}
    assert made.numbers([0.5, 4.0, 7.0]) == [0.5, 4.0, 7.0, 0.125]


def test_a_factor_that_is_divided_by_zero_is_infinite_as_for_tensors():
    numbers = of(("div", M, B), ("add_scaled", P, 4, A)).numbers
    assert numbers([-0.5, 0.0])[2] == -math.inf
    assert math.isnan(numbers([0.0, 0.0])[2])
