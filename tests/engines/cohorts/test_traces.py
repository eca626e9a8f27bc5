"""One rule traced for parameters of several sets of numbers; each set alone is the oracle."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schuss.engines.cohorts.scalars import Scalars
from schuss.engines.cohorts.traces import HALVES, traced_parts
from schuss.engines.program.program import COUNT, GRAD, PARAM, Place, program
from schuss.engines.tracing.several import ApartError, Several
from schuss.engines.tracing.tracer import Trace

PROGRAMS = [
    program((Place(GRAD), Place(PARAM), COUNT), ((operation, 1, 0),), ((PARAM, 3),))
    for operation in ("add", "sub", "mul")
]


def warm_up(numbers):
    """Trace a rule with a warm-up of two steps, whose last rate depends on the step."""
    step = numbers["step"] + 1
    which = 0 if step <= 2 else 1
    argument = 1 - numbers["rate"] ** step
    return Trace(
        PROGRAMS[which],
        [argument.values if type(argument) is Several else argument],
        {**numbers, "step": step},
        frozenset(),
    )


def by_logarithm(numbers):
    """Trace a rule that takes the value of a number."""
    argument = math.log(numbers["step"] + 1)
    return Trace(PROGRAMS[2], [argument], {**numbers, "step": numbers["step"] + 1}, frozenset())


def of_each(parts, count):
    """Return the program, the arguments and the numbers of each parameter, by its index."""
    found = {}
    for part in parts:
        indices = np.arange(count) if part.indices is None else part.indices
        for at, index in enumerate(indices.tolist()):
            number = 0 if part.which is None else part.which[at]
            arguments = part.arguments if part.which is None else part.arguments[number].tolist()
            own = {key: column[number].item() for key, column in part.columns.items()}
            assert index not in found
            found[index] = part.trace.program, list(arguments), {**part.after, **own}
    return found


STATES = st.lists(
    st.fixed_dictionaries({"step": st.integers(0, 5), "rate": st.sampled_from([0.5, 0.25, 0.3])}),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("together", [True, False])
@given(states=STATES, data=st.data())
def test_each_parameter_gets_what_it_would_get_alone(together, states, data):
    indices = data.draw(st.sets(st.integers(0, len(states) - 1), min_size=1).map(sorted))
    every = len(indices) == len(states) and data.draw(st.booleans())
    given_indices = None if every else np.array(indices)
    parts = traced_parts(warm_up, Scalars(states), given_indices, together=together)
    found = of_each(parts, len(states))
    expected = {index: warm_up(states[index]) for index in indices}
    assert found == {
        index: (trace.program, trace.arguments, trace.scalars) for index, trace in expected.items()
    }
    # As many parts as programs, however many sets of numbers there are.
    programs = {id(trace.program) for trace in expected.values()}
    assert len(parts) == len(programs)
    for part in parts:
        assert all(type(value) in (int, float) for value in part.after.values())


def test_what_is_done_with_one_number_at_a_time_is_traced_apart():
    scalars = Scalars([{"step": n} for n in (3, 1, 3)])
    with pytest.raises(ApartError):
        traced_parts(by_logarithm, scalars, None, together=True)
    found = of_each(traced_parts(by_logarithm, scalars, None, together=False), 3)
    assert [found[index][1:] for index in range(3)] == [
        ([math.log(4)], {"step": 4}),
        ([math.log(2)], {"step": 2}),
        ([math.log(4)], {"step": 4}),
    ]


def test_an_error_of_the_rule_is_its_own_when_numbers_are_traced_apart():
    def fails(numbers):
        raise KeyError("mine")

    scalars = Scalars([{"step": 1}, {"step": 2}])
    with pytest.raises(ApartError):
        traced_parts(fails, scalars, None, together=True)
    with pytest.raises(KeyError, match="mine"):
        traced_parts(fails, scalars, None, together=False)


def test_a_rule_that_compares_more_often_than_is_worth_it_is_traced_apart():
    def compares(numbers):
        for number in range(100):
            if numbers["step"] == number:
                break
        return Trace(PROGRAMS[0], [0.0], dict(numbers), frozenset())

    few = Scalars([{"step": n} for n in range(HALVES - 1)])
    assert len(traced_parts(compares, few, None, together=True)) == 1  # one program
    many = Scalars([{"step": n} for n in range(2 * HALVES)])
    with pytest.raises(ApartError):
        traced_parts(compares, many, None, together=True)
    assert len(traced_parts(compares, many, None, together=False)) == 1


def test_state_that_is_no_number_keeps_traces_apart():
    def names(numbers):
        made = "late" if numbers["step"] > 2 else "early"
        return Trace(PROGRAMS[0], [1.0], {"step": numbers["step"], "name": made}, frozenset())

    parts = traced_parts(names, Scalars([{"step": n} for n in (1, 5, 2)]), None, together=True)
    assert {part.after["name"]: part.indices.tolist() for part in parts} == {
        "early": [0, 2],
        "late": [1],
    }
