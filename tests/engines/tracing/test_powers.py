"""Powers from a table are those that Python computes, whatever was asked for before."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schuss.engines.tracing import powers
from schuss.engines.tracing.powers import LARGEST, powers_of

EXPONENTS = st.lists(st.integers(0, 5000) | st.integers(-3, LARGEST + 3), min_size=1, max_size=6)


def computed(base: float, exponents: list[int]) -> list[float]:
    return list(powers_of(base, np.array(exponents, dtype=np.float64)))


@given(
    st.sampled_from([0.9, 0.999, 0.5, 1.0, -0.75, -1.0]),
    st.lists(EXPONENTS, min_size=1, max_size=4),
)
def test_every_power_has_the_bits_of_pythons(base, asked):
    for exponents in asked:
        found = computed(base, exponents)
        assert [each.hex() for each in found] == [(base**each).hex() for each in exponents]


def test_powers_of_zero_keep_its_sign():
    assert [math.copysign(1, each) for each in computed(0.0, [3, 5])] == [1, 1]
    assert [math.copysign(1, each) for each in computed(-0.0, [3, 4])] == [-1, 1]


def test_a_power_that_overflows_is_an_error_each_time():
    for _ in range(2):
        with pytest.raises(OverflowError):
            computed(10.0, [2, 400])
    assert computed(10.0, [2]) == [100.0]


def test_powers_are_computed_once(monkeypatch):
    counted: list[float] = []

    class Counting(float):
        def __pow__(self, exponent: int, _: None = None) -> float:  # type: ignore[override]
            counted.append(exponent)
            return float(self) ** exponent

    monkeypatch.setattr(powers, "float", Counting, raising=False)
    monkeypatch.setattr(
        Counting, "fromhex", classmethod(lambda _, text: Counting(float.fromhex(text)))
    )
    powers._powers.cache_clear()
    found = [computed(0.875, asked) for asked in ([1, 2, 300], [2, 3, 300], [3, 300, 1])]
    assert counted == [1, 2, 300, 3]
    assert found[2] == [0.875**3, 0.875**300, 0.875]
