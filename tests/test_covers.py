"""The combinations that the gate goes through."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tests.covers import combinations, in_turn, pairs

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
