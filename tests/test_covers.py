"""The combinations that the gate goes through."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.covers import combinations, in_turn, pairs, some_of_each

FACTORS = st.lists(st.integers(1, 6).map(lambda size: list(range(size))), min_size=2, max_size=4)


@given(FACTORS, st.integers(2, 7))
def test_all_pairs_that_may_meet_do_meet_and_no_others(factors, divisor):
    def allowed(*values):
        return sum(values) % divisor != 1

    every = combinations(*factors, where=allowed, exhaustive=True)
    found = combinations(*factors, where=allowed, exhaustive=False)
    assert every == [v for v in itertools.product(*factors) if allowed(*v)]
    assert set(found) <= set(every)
    assert set().union(*map(pairs, found)) == set().union(*map(pairs, every))


def test_a_cover_is_much_smaller_than_the_product_and_the_same_each_time():
    factors = [range(50), range(8), range(6), "ab"]
    found = combinations(*factors, exhaustive=False)
    # 50 * 8 pairs of the first two cannot be had with fewer; there are 4,800 combinations.
    assert 400 <= len(found) <= 420
    assert found == combinations(*factors, exhaustive=False)


def test_no_value_is_left_out_of_a_single_factor():
    assert combinations("abc", exhaustive=False) == [("a",), ("b",), ("c",)]


def test_in_turn_each_value_has_one_of_the_others_or_all():
    expected = [("a", 1), ("b", 2), ("c", 1)]
    assert in_turn("abc", [1, 2], exhaustive=False) == expected
    assert len(in_turn("abc", [1, 2], exhaustive=True)) == 6


def test_some_of_each_meet_all_that_can_be_met_equally_often():
    cases = {key: list(itertools.product("abc", range(4))) for key in range(9)}
    found = some_of_each(cases, 4, exhaustive=False)
    assert [key for key, *_ in found] == sorted(list(range(9)) * 4)
    # 9 * 4 cases are each of 12 three times, but for none twice with one key.
    times = Counter((letter, number) for _, letter, number in found)
    assert set(times.values()) == {3}
    assert len(set(found)) == len(found)
    # The cases of one key have other values as long as there are others.
    assert {number for key, _, number in found if key == 0} == set(range(4))


def test_some_of_each_are_all_where_there_are_no_more_or_all_are_asked_for():
    cases = {"x": [("a", 1)], "y": [("a", 2), ("b", 2)]}
    assert len(some_of_each(cases, 5, exhaustive=False)) == 3
    assert len(some_of_each(cases, 1, exhaustive=False)) == 2
    assert len(some_of_each(cases, 1, exhaustive=True)) == 3
