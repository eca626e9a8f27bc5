"""Sets of coefficients."""

from __future__ import annotations

import pytest
import torch

from schuss.matrices import SETS, CoefficientSet, safer
from schuss.matrices.coefficients import COEFFICIENTS, JORDAN, coefficient_set
from schuss.matrices.iteration import ROOM


def after(chosen: CoefficientSet, values: torch.Tensor) -> torch.Tensor:
    for a, b, c in chosen.taken():
        values = a * values + b * values**3 + c * values**5
    return values


# The interval around 1 in which singular values of 0.1 to 1 end.
ENDS = {
    "jordan": (0.68, 1.21),
    "you": (0.85, 1.15),
    "polar_express": (0.86, 1.13),
    "cans": (0.88, 1.12),
    "aol": (0.91, 1.09),
    "deepseek_v4": (0.99, 1.01),
    "cubic5": (0.77, 1.31),
    "ns3": (0.99, 1.001),
    "ns5": (0.99, 1.001),
}


@pytest.mark.parametrize("name", SETS)
def test_singular_values_end_near_one(name):
    end = ROOM if SETS[name].scales_rows else 1.0
    found = after(SETS[name], torch.linspace(0.1, end, 1001, dtype=torch.float64))
    low, high = ENDS[name]
    assert low <= found.min() <= found.max() <= high


def test_a_set_has_as_many_steps_as_are_asked_for():
    chosen = CoefficientSet(((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)), 3, "")
    assert chosen.taken() == ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), (4.0, 5.0, 6.0))
    assert chosen.taken(1) == ((1.0, 2.0, 3.0),)
    assert SETS["deepseek_v4"].taken()[7:] == (JORDAN, (2.0, -1.5, 0.5), (2.0, -1.5, 0.5))


def test_a_factor_of_safety_divides_the_argument():
    value, factor = 0.7, 1.25
    [(a, b, c), last] = safer([(3.0, -4.0, 2.0), (1.0, 1.0, 1.0)], factor)
    s = value / factor
    expected = 3.0 * s - 4.0 * s**3 + 2.0 * s**5
    assert a * value + b * value**3 + c * value**5 == pytest.approx(expected)
    assert last == (1.0, 1.0, 1.0)


def test_coefficients_of_a_user_are_tuples_of_numbers():
    assert COEFFICIENTS.plain([3, 2, 1]) == (3.0, 2.0, 1.0)
    assert COEFFICIENTS.plain([[3, 2, 1]]) == ((3.0, 2.0, 1.0),)
    assert coefficient_set((1, 2, 3)).taken() == ((1.0, 2.0, 3.0),) * 5
    assert coefficient_set([[1, 2, 3]] * 2).taken() == ((1.0, 2.0, 3.0),) * 2
    assert coefficient_set(JORDAN).is_safe
    assert not coefficient_set((1, 2, 3)).is_safe
