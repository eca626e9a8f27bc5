"""A number that differs among parameters gives the bits that each gives alone, or refuses."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schuss.engines.tracing.several import ApartError, Differ, Several

FLOATS = st.floats(-1e6, 1e6, allow_nan=False)
WHOLES = st.integers(-(2**40), 2**40)
BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"]


def several(numbers: list[Any]) -> Any:
    return Several(np.array(numbers, dtype=np.float64), whole=type(numbers[0]) is int)


@given(
    st.sampled_from(BINARY),
    st.lists(FLOATS, min_size=2, max_size=5) | st.lists(WHOLES, min_size=2, max_size=5),
    FLOATS | WHOLES | st.integers(0, 3),
    st.booleans(),
)
def test_arithmetic_has_the_bits_that_python_gives_each_number(name, numbers, other, swapped):
    function = getattr(operator, name)
    many = several(numbers)
    try:
        found = function(other, many) if swapped else function(many, other)
    except ApartError:
        return  # each is traced with Python's numbers then
    pairs = [(other, x) if swapped else (x, other) for x in numbers]
    expected = [function(x, y) for x, y in pairs]
    assert {type(x) for x in expected} == {int if found.whole else float}
    assert [float(x).hex() for x in expected] == [x.hex() for x in found.values.tolist()]


@pytest.mark.parametrize("steps", [[1, 2, 3], [5, 2, 900]])
def test_what_adam_computes_of_a_count_is_not_refused(steps):
    count = several(steps)
    count += 1
    root = (1 - 0.999**count) ** 0.5 / (1 - 0.9**count)
    expected = [(1 - 0.999 ** (n + 1)) ** 0.5 / (1 - 0.9 ** (n + 1)) for n in steps]
    assert root.values.tolist() == expected
    assert isinstance(count, int)
    assert not isinstance(count, float)
    assert isinstance(root, float)


def test_a_comparison_is_one_truth_or_tells_for_whom_it_holds():
    count = several([3, 7, 9])
    assert count > 2
    assert not count > 9
    with pytest.raises(Differ) as seen:
        _ = count > 5
    assert seen.value.mask.tolist() == [False, True, True]
    with pytest.raises(Differ):
        bool(several([0, 1]))
    assert count != "7"


def test_numbers_of_numpy_are_numbers():
    assert (np.float64(2) * several([1, 2])).values.tolist() == [2.0, 4.0]
    assert (several([1.5, 2.5]) - np.int64(1)).values.tolist() == [0.5, 1.5]


ALONE: dict[str, Callable[[Any], Any]] = {
    "log": math.log,
    "sqrt": math.sqrt,
    "float": float,
    "int": int,
    "round": round,
    "hash": hash,
    "str": str,
    "format": "{:.2f}".format,
    "index": lambda x: [1, 2, 3, 4][x],
    "quotient by zero": lambda x: x / several([1, 0]),
    "power of whole numbers": lambda x: x**-x,
    "too large": lambda x: x * 2**60,
    "complex root": lambda x: (x - 5) ** 0.5,
    "method": lambda x: x.bit_length(),
}


@pytest.mark.parametrize("use", ALONE)
def test_what_takes_one_number_at_a_time_is_refused(use):
    with pytest.raises((ApartError, TypeError)):
        ALONE[use](several([1, 2]))
