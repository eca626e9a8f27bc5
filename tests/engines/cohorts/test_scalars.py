"""Numbers of states kept once or one by one; a list of dictionaries is the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from schuss.engines.cohorts.scalars import Scalars, is_own, write

COUNTS = st.integers(0, 3)
FLOATS = st.sampled_from([0.0, -0.0, 0.5, float("inf")])
NUMBERS = st.lists(
    st.fixed_dictionaries({"step": COUNTS, "rate": FLOATS, "name": st.just("x")}),
    min_size=1,
    max_size=6,
)


def shown(states):
    """Return states as text, which tells 1 from 1.0, and 0.0 from -0.0."""
    return [repr(sorted(state.items())) for state in states]


@given(NUMBERS)
def test_every_state_has_the_numbers_that_it_had(states):
    scalars = Scalars(states)
    assert shown(scalars.of_each()) == shown(states)
    # What all have in common is kept once, and only that.
    differ = {k for k in ("step", "rate") if len({repr(s[k]) for s in states}) > 1}
    assert set(scalars.own) == differ
    assert set(scalars.same) == {"step", "rate", "name"} - differ
    assert scalars.count == len(states)


@given(NUMBERS, st.data())
def test_equal_sets_of_numbers_are_one(states, data):
    scalars = Scalars(states)
    indices = np.array(sorted(data.draw(st.sets(st.integers(0, len(states) - 1), min_size=1))))
    columns, which = scalars.distinct(indices)
    assert set(columns) == set(scalars.own)
    assert len(which) == len(indices)
    lists = {key: column.tolist() for key, column in columns.items()}
    found = [{**scalars.same, **{k: v[at] for k, v in lists.items()}} for at in which.tolist()]
    assert shown(found) == shown(states[index] for index in indices.tolist())
    sets = len(next(iter(lists.values()), [None]))
    assert sets == len(set(shown(found)))
    assert set(which.tolist()) == set(range(sets))


@given(NUMBERS, st.data())
def test_some_take_new_numbers_and_the_others_keep_theirs(states, data):
    scalars = Scalars(states)
    indices = np.array(sorted(data.draw(st.sets(st.integers(0, len(states) - 1), min_size=1))))
    counts = data.draw(st.lists(COUNTS, min_size=len(indices), max_size=len(indices)))
    rate = data.draw(FLOATS)
    after = {"rate": rate, "name": states[0]["name"]}
    columns, which = (
        {"step": np.array(sorted(set(counts)))},
        np.searchsorted(sorted(set(counts)), counts),
    )
    assert scalars.accepts(after, columns)
    scalars.take(indices, after, columns, which)
    expected = [dict(state) for state in states]
    for index, count in zip(indices.tolist(), counts, strict=True):
        expected[index] |= {"step": count, "rate": rate}
    assert shown(scalars.of_each()) == shown(expected)
    # What has become the same is kept once again.
    for key in scalars.own:
        assert len({repr(state[key]) for state in expected}) > 1


@pytest.mark.parametrize(
    ("after", "columns", "accepted"),
    [
        ({"step": 2, "name": "x"}, {}, True),
        ({"name": "x"}, {"step": np.array([2, 3])}, True),
        ({"step": 2.0, "name": "x"}, {}, False),  # of another type
        ({"name": "x"}, {"step": np.array([2.0, 3.0])}, False),
        ({"name": "x"}, {}, False),  # a key less
        ({"step": 2, "name": "x", "more": 1}, {}, False),
        ({"step": 2, "name": "y"}, {}, False),  # no number, in which parameters may not differ
    ],
)
def test_some_take_new_numbers_only_if_all_states_remain_alike(after, columns, accepted):
    scalars = Scalars([{"step": 1, "name": "x"}] * 3)
    assert scalars.accepts(after, columns) == accepted
    scalars = Scalars([{"step": n, "name": "x"} for n in range(3)])
    assert scalars.accepts(after, columns) == accepted


@pytest.mark.parametrize(
    ("value", "own"),
    [
        *((1, True), (2**53 - 1, True), (2**53, False), (-(2**53), False), (1.5, True)),
        *((True, False), ("x", False), (None, False), (torch.tensor(1.0), False)),
    ],
)
def test_parameters_may_differ_in_numbers_that_float64_holds(value, own):
    assert is_own(value) == own


def test_numbers_that_float64_cannot_hold_are_refused_by_being_common():
    # Else they would be counted on in an array, rounded.
    assert Scalars([{"seed": 2**60}, {"seed": 2**60}]).same == {"seed": 2**60}


def test_what_is_written_into_a_state_is_its_own():
    number = torch.tensor(2.0)
    present = torch.tensor(1.0)
    state: dict[str, Any] = {"there": present, "other": torch.tensor([1.0]), "step": 1}
    write(state, {"there": number, "other": number, "new": number, "step": 5})
    assert state["there"] is present  # which somebody may hold
    assert [state[key].item() for key in ("there", "other", "new")] == [2.0] * 3
    assert state["step"] == 5
    number.add_(1)
    assert [state[key].item() for key in ("there", "other", "new")] == [2.0] * 3
