"""Sums over parameters that are stepped one by one: a rule finds those of the call before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import is_
from typing import NamedTuple, TypeAlias

from torch import Tensor

from schuss.contract import Group, Measure, Pass
from schuss.engines.sums import plus, with_sums

Sums: TypeAlias = dict[str, Tensor | float]


class Given(NamedTuple):
    """The part of earlier calls in a call.

    Attributes:
        groups: The groups, with the sums of the call before.
        measures: For each group, what is to be measured of its parameters, and in which pass.
        are_ready: For each group, whether all sums that its rule needs are there.
    """

    groups: Sequence[Group]
    measures: Sequence[Sequence[tuple[int, Measure]]]
    are_ready: Sequence[bool]


class LateSums:
    """Adds up what is measured in a call, and gives it to the next one.

    A measurement of a later pass needs the sums of earlier passes. So the first call after the
    beginning measures the first pass only, and so on, until all sums are known. A group of which
    nothing was measured in a call keeps the sums that it has.
    """

    def __init__(self) -> None:
        self._lists: list[object] = []
        self._known: list[list[Sums | None]] = []
        self._new: list[list[Sums | None]] = []

    def given(self, passes: Sequence[Pass], groups: Sequence[Group]) -> Given:
        """Begin a call; groups that are not those of the call before begin without sums."""
        count, lists = len(groups), [group["params"] for group in groups]
        if len(lists) != len(self._lists) or not all(map(is_, lists, self._lists)):
            self._lists, self._known = lists, []
        self._known = self._known or [[None] * count for _ in passes]
        self._new = [[None] * count for _ in passes]
        ready = [True] * count
        measures: list[list[tuple[int, Measure]]] = [[] for _ in groups]
        for at, ((of_each, sharing), known) in enumerate(zip(passes, self._known, strict=True)):
            found = [None if m is None else (k or {}) for m, k in zip(of_each, known, strict=True)]
            groups = with_sums(groups, found, sharing)
            for number, measure in enumerate(of_each):
                if measure is not None and ready[number]:
                    measures[number].append((at, measure))
                    ready[number] = known[number] is not None
        return Given(groups, measures, ready)

    def add(self, at: int, number: int, found: Mapping[str, Tensor | float]) -> None:
        """Add what was measured of a parameter, in a pass and a group."""
        sums = self._new[at][number] or {}
        for key, value in found.items():
            sums[key] = plus(sums[key], value) if key in sums else value
        self._new[at][number] = sums

    def close(self) -> None:
        """End the call: what was added up is given to the next one."""
        for known, new in zip(self._known, self._new, strict=True):
            known[:] = [old if sums is None else sums for old, sums in zip(known, new, strict=True)]
        self._new = []
