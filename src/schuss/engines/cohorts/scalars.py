"""The numbers in the states of a cohort: step counts and the like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from torch import Tensor

from schuss.contract import State

if TYPE_CHECKING:
    from numpy.typing import NDArray

Indices: TypeAlias = "NDArray[np.int64]"
"""Which parameters of a cohort, by their positions in it; or which sets of numbers."""

Columns: TypeAlias = "dict[str, NDArray[Any]]"
"""Numbers by key of the state: int64 for Python's `int`, float64 for `float`."""

_DTYPES = {int: np.int64, float: np.float64}
_LARGE = 2**53
_NEAR = 8
"""Numbers are near each other if no more than so many places of a table are for one of them."""


class Scalars:
    """The numbers of all parameters: kept once if they have the same, else one for each.

    Attributes:
        same: The numbers that all have in common.
        own: The rest: for each key a number of every parameter.
        count: How many parameters there are.
    """

    def __init__(self, states: Sequence[State]) -> None:
        self.same: State = dict(states[0])
        self.own: Columns = {}
        self.count = len(states)
        for key, first in states[0].items():
            if is_own(first) and any(_differs(state[key], first) for state in states):
                del self.same[key]
                values = [state[key] for state in states]
                self.own[key] = np.array(values, dtype=_DTYPES[type(first)])

    def distinct(self, indices: Indices) -> tuple[Columns, Indices]:
        """Return the sets of numbers that some parameters have, and for each of them which.

        Args:
            indices: The parameters.
        """
        if not self.own:
            return {}, np.zeros(len(indices), dtype=np.int64)
        columns = {key: column[indices] for key, column in self.own.items()}
        if len(columns) == 1:
            [(key, column)] = columns.items()
            near = _near(column)
            if near is not None:
                return {key: near[0]}, near[1]
        bits = [np.ascontiguousarray(column).view(np.int64) for column in columns.values()]
        if len(bits) == 1:
            _, first, which = np.unique(bits[0], return_index=True, return_inverse=True)
        else:
            table = np.stack(bits, axis=1)
            _, first, which = np.unique(table, axis=0, return_index=True, return_inverse=True)
        return {key: column[first] for key, column in columns.items()}, which.reshape(-1)

    def accepts(self, after: State, columns: Columns) -> bool:
        """Tell whether some parameters may have taken new numbers, and the others not."""
        kinds = {key: type(value) for key, value in self.same.items()}
        kinds |= {key: _type_of(column) for key, column in self.own.items()}
        after_kinds = {key: type(value) for key, value in after.items()}
        after_kinds |= {key: _type_of(column) for key, column in columns.items()}
        if kinds != after_kinds:
            return False
        return all(is_own(value) or value is self.same.get(key) for key, value in after.items())

    def take(self, indices: Indices, after: State, columns: Columns, which: Indices) -> None:
        """Take what a step has made of the numbers of some parameters.

        Args:
            indices: The parameters.
            after: The numbers that they have in common.
            columns: The rest, for each set of numbers.
            which: The set of each.
        """
        everybody = len(indices) == self.count
        if everybody:
            self.same = after
            own = {}
        else:
            own = {key: self._column(key) for key in (*after, *columns) if self._may_change(key)}
            for key, value in after.items():
                if key in own:
                    own[key][indices] = value
        for key, column in columns.items():
            found = own.get(key)
            if found is None:
                found = np.empty(self.count, dtype=column.dtype)
            found[indices] = column[which]
            own[key] = found
        self.same = {key: value for key, value in self.same.items() if key not in own}
        for key in [key for key, column in own.items() if _is_constant(column)]:
            self.same[key] = own.pop(key)[0].item()
        self.own = own

    def of_each(self) -> Iterator[State]:
        """Return the numbers of every parameter in turn, as they belong into its state."""
        lists = {key: column.tolist() for key, column in self.own.items()}
        for index in range(self.count):
            yield {**self.same, **{key: values[index] for key, values in lists.items()}}

    def _may_change(self, key: str) -> bool:
        return key in self.own or is_own(self.same[key])

    def _column(self, key: str) -> NDArray[Any]:
        column: NDArray[Any]
        if key in self.own:
            column = self.own[key].copy()
        else:
            value = self.same[key]
            column = np.full(self.count, value, dtype=_DTYPES[type(value)])
        return column


def _near(column: NDArray[Any]) -> tuple[NDArray[np.int64], Indices] | None:
    """Return the distinct ones of whole numbers that are near each other, and which each is.

    Step counts are, and to mark them in a table takes a fifth of the time that sorting takes.
    """
    if column.dtype != np.int64 or not len(column):
        return None
    least, most = int(column.min()), int(column.max())
    if most - least >= _NEAR * len(column):
        return None
    column = column - least
    marked = np.zeros(most - least + 1, dtype=np.int64)
    marked[column] = 1
    return np.flatnonzero(marked) + least, (marked.cumsum() - 1)[column]


def is_own(value: object) -> bool:
    """Tell whether parameters of a cohort may differ in a number of their state."""
    return type(value) is float or (type(value) is int and abs(value) < _LARGE)


def write(state: State, scalars: Mapping[str, Any]) -> None:
    """Write numbers, and tensors of one number, into a state."""
    for key, value in scalars.items():
        present = state.get(key)
        if not isinstance(value, Tensor):
            state[key] = value
        elif isinstance(present, Tensor) and present.shape == value.shape:
            present.copy_(value)
        else:
            state[key] = value.clone()


def _is_constant(column: NDArray[Any]) -> bool:
    bits = column.view(np.int64)
    return bool(bits[0] == bits[-1] and (bits == bits[0]).all())


def _differs(value: float, first: float) -> bool:
    return value != first or (value == 0 and str(value) != str(first))  # 0.0 is not -0.0


def _type_of(column: NDArray[Any]) -> type:
    return int if column.dtype == np.int64 else float
