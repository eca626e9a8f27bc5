"""Which memory takes a result: never memory that somebody needs."""

from __future__ import annotations

from schuss.engines.foreach.instructions import Instructions, instructions
from schuss.engines.program.program import COUNT, GRAD, PARAM, STATE, Node, Place, program

INPUTS = (Place(GRAD), Place(PARAM), COUNT, Place(STATE + "m"), Place(STATE + "v"))
G, P, N, M, V = range(5)
A = ~0


def of(*nodes: Node, copies: frozenset[int] = frozenset(), **ends: int) -> Instructions:
    """Return the instructions of a program; `ends` tell which value goes to which place."""
    names = {"param": PARAM, **{key: STATE + key for key in ends if key != "param"}}
    placed = tuple((names[key], number) for key, number in ends.items())
    return instructions(program(INPUTS, nodes, placed), copies)


def overs(made: Instructions) -> list[int | None]:
    return [call.over for call in made.calls]


def outputs(made: Instructions) -> dict[str, tuple[bool, bool]]:
    return {o.place.name: (o.cloned, o.there) for o in made.outputs}


def test_the_last_operation_on_a_place_writes_into_it():
    made = of(("lerp", M, G, A), ("exp", 5), param=6, m=5)
    assert overs(made) == [0, None]
    assert outputs(made) == {PARAM: (False, False), "state.m": (False, True)}


def test_a_value_that_is_needed_later_is_not_written_over():
    made = of(("exp", M), ("lerp", M, G, A), ("mul", 5, 6), param=7, m=6)
    assert overs(made) == [None, 0, 0]


def test_a_gradient_and_state_that_stays_are_not_written_over():
    made = of(("neg", G), ("mul", V, A), ("atan2", 5, 6), param=7)
    assert overs(made) == [None, None, None]
    assert list(made.inputs) == [G, V]


def test_copies_are_written_over():
    made = of(("neg", G), ("add", P, 5), param=6, copies=frozenset({G, P}))
    assert overs(made) == [0, 0]
    # The parameter has to be rounded still.
    assert outputs(made) == {PARAM: (False, False)}


def test_either_term_of_a_sum_takes_the_result_the_one_where_it_goes_first():
    assert overs(of(("neg", G), ("add", G, 5), param=6)) == [None, 1]
    made = of(("mul", M, A), ("add", 5, P), param=6, m=G)
    assert overs(made) == [0]  # as one operation, p + a m
    assert outputs(of(("maximum", M, P), param=5, m=G)) == {
        PARAM: (False, True),
        "state.m": (False, False),
    }
    assert overs(of(("neg", G), ("sub", G, 5), param=6)) == [None, None]


def test_places_that_are_swapped_are_cloned():
    made = of(param=M, m=P)
    assert outputs(made) == {PARAM: (True, False), "state.m": (True, False)}


def test_a_value_for_two_places_is_in_one_and_copied_to_the_other():
    made = of(("add", M, G), param=5, m=5)
    assert overs(made) == [0]
    assert outputs(made) == {PARAM: (True, False), "state.m": (False, True)}


def test_values_that_nothing_needs_any_more_are_let_go():
    made = of(("neg", G), ("exp", 5), ("mul", 6, M), param=7)
    assert [call.last for call in made.calls] == [(G,), (5,), (M, 6)]
