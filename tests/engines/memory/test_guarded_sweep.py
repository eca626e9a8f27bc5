"""No engine touches memory beside a tensor, of whatever size, or where one was before."""

from __future__ import annotations

import itertools

import pytest
import torch

from tests.conformance.trajectories import REAL_ONLY, TOLERANCE
from tests.covers import EXHAUSTIVE
from tests.engines.memory.sweep import ON, VARIANTS, WHOLE, Case, swept

DTYPES = [dtype for dtype in TOLERANCE if dtype.itemsize <= 8]
EVERY = [
    Case(name, dtype, engine, at_end)
    for name, dtype, engine, at_end in itertools.product(VARIANTS, DTYPES, ON, (True, False))
    if not (dtype.is_complex and (name in WHOLE or VARIANTS[name][0] in REAL_ONLY))
    and not (engine == "foreach" and name in WHOLE)
    and not (dtype is torch.float16 and "rounding" in VARIANTS[name][1])
]


def some() -> list[Case]:
    """Return a case of each optimizer in a kernel, of some elsewhere; dtypes and ends in turn."""
    chosen = []
    # Adafactor's kernels are compiled for seconds; those of its momentum are those of others.
    variants = [name for name in VARIANTS if name != "adafactor, momentum"]
    for turn, (engine, name) in enumerate(itertools.product(ON, variants)):
        cases = [case for case in EVERY if (case.engine, case.name) == (engine, name)]
        if cases and (engine == "fused" or turn % 4 == 0):
            chosen.append(cases[7 * turn % len(cases)])
    return chosen


@pytest.mark.parametrize("case", EVERY if EXHAUSTIVE else some(), ids=str)
def test_only_own_memory_is_touched(case, child):
    child.call(swept, case)
