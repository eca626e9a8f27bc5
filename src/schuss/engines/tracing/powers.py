"""Powers of a number with whole exponents: `beta**step` for the step counts of many parameters.

NumPy's powers differ from the C library's in the last bit, so each is computed by Python. Hundreds
of step counts take long, and in the next step nearly all of the exponents are the
same again, each for another parameter. Powers are therefore kept in a table.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST = 2**20
"""The largest exponent that a table holds; a table takes 8 bytes for each."""

TABLES = 16
"""For how many bases tables are kept."""


def powers_of(base: float, exponents: NDArray[np.float64]) -> list[float] | NDArray[np.float64]:
    """Return powers, with the bits that Python's own `base**exponent` has.

    Args:
        base: The base.
        exponents: Whole numbers, at least one.

    Raises:
        ArithmeticError: One of them has no power, or none that float64 holds.
    """
    whole = exponents.astype(np.int64)
    largest = int(whole.view(np.uint64).max())  # a negative one is above all others so
    if largest > LARGEST:
        return [base**each for each in exponents.tolist()]
    return _powers(base.hex())(whole, largest)


@lru_cache(TABLES)
def _powers(text: str) -> Callable[[NDArray[np.int64], int], NDArray[np.float64]]:
    """Return the table of a base; the text tells 0.0 and -0.0 apart."""
    base = float.fromhex(text)
    found = np.full(64, np.nan)

    def at(exponents: NDArray[np.int64], largest: int) -> NDArray[np.float64]:
        nonlocal found
        table = found
        if largest >= len(table):
            known, table = table, np.full(min(2 * largest, LARGEST) + 1, np.nan)
            table[: len(known)] = known
            found = table
        powers = table[exponents]
        missing = np.isnan(powers)
        if missing.any():
            for exponent in exponents[missing].tolist():
                table[exponent] = base**exponent
            powers = table[exponents]
        return powers

    return at
