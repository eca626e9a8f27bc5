"""Whether states are what a step has left, after somebody else could reach them.

A program that logs a moment in every step reads `optimizer.state`, and could have changed it.
To look whether it did takes a fraction of the time of making the plan of a step anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from operator import is_
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor

from schuss.contract import State, States
from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.tensors import own_tensors
from schuss.engines.program.program import STATE

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Looking(Protocol):
    """Looks at the memory of tensors."""

    def is_of(self, tensors: Sequence[Tensor]) -> bool:
        """Tell whether these are the tensors that belong to the optimizer."""


def are_untouched(cohorts: Sequence[Cohort], look: Looking, states: States) -> bool:
    """Tell whether states hold what the steps of cohorts have left there, and nothing else.

    Of a tensor it is only told that it is the same. Whether it has been moved is told by the look
    at its memory, and to write into it is not to touch the state.

    Args:
        cohorts: The cohorts.
        look: Looks at the memory of what `own_tensors` returned when a step was planned.
        states: The states of all parameters, as they are now.
    """
    if not all(_hold_the_same(cohort, states) for cohort in cohorts):
        return False
    return look.is_of([tensor for cohort in cohorts for tensor in own_tensors(cohort)])


def _hold_the_same(cohort: Cohort, states: States) -> bool:
    """Tell whether the states of a cohort have its keys and its numbers."""
    mine, scalars = cohort.states, cohort.scalars
    if cohort.is_capturable or not all(map(is_, map(states.get, cohort.params), mine)):
        return False
    names = [place.name for place in cohort.inputs if place.name.startswith(STATE)]
    keys = {name.removeprefix(STATE) for name in names}
    keys |= {*cohort.aliases, *cohort.whole, *scalars.same, *scalars.own}
    if not all(state.keys() == keys for state in mine):
        return False
    aliases = (_at(mine, key) for key in cohort.aliases)
    if not all(all(map(is_, found, cohort.params)) for found in aliases):
        return False
    same = all(_are_all(_at(mine, key), value) for key, value in scalars.same.items())
    return same and all(_are(_at(mine, key), column) for key, column in scalars.own.items())


def _at(states: Sequence[State], key: str) -> list[object]:
    return [state[key] for state in states]


def _are_all(found: Sequence[object], value: object) -> bool:
    """Tell whether all are one object, which nobody can have changed."""
    return not isinstance(value, Tensor) and all(map(is_, found, repeat(value)))


def _are(found: Sequence[object], column: NDArray[np.generic]) -> bool:
    """Tell whether these are the numbers of a column, to the bit."""
    kind = type(column[0].item())
    if not all(type(each) is kind for each in found):
        return False
    return np.array(found, dtype=column.dtype).tobytes() == column.tobytes()
