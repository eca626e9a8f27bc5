"""The table of routes: which part steps which parameter, by which line, and what looks wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from schuss.composite.doubts import doubts_about
from schuss.composite.parts import ALGORITHM
from schuss.contract import Group

if TYPE_CHECKING:
    from schuss.composite.deciding import Decision
    from schuss.optimizer import Optimizer


class Row(NamedTuple):
    """One parameter in a table of routes.

    Attributes:
        name: Its name, or its place in the groups if it has none.
        shape: Its shape.
        part: The name of the part that steps it.
        line: The predicate of the line that decided; empty if its group named the part.
        reason: Why the predicate holds.
        options: The hyper-parameters that the line gives.
        doubt: The reason why the decision looks wrong, or nothing.
    """

    name: str
    shape: tuple[int, ...]
    part: str
    line: str
    reason: str
    options: Mapping[str, Any]
    doubt: str


class Routes:
    """Which part steps which parameter, and why. `print` it, or go through the rows.

    Args:
        groups: The groups of a composite.
        parts: Its parts by name.
        decisions: The decisions of its route.
        frozen: The names of the parameters that it has left out, because they needed no gradient.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        parts: Mapping[str, Optimizer],
        decisions: Mapping[Tensor, Decision],
        frozen: Sequence[str] = (),
    ) -> None:
        self._parts = {name: type(part).__name__ for name, part in parts.items()}
        self._numbers = dict.fromkeys(parts, 0)
        doubts = doubts_about(decisions, parts)
        self.rows: list[Row] = []
        for number, group in enumerate(groups):
            for position, param in enumerate(group["params"]):
                self._numbers[group[ALGORITHM]] += param.numel()
                row = _row(f"{number}.{position}", group, param, decisions.get(param))
                names = group.get("param_names")
                row = row._replace(name=names[position]) if names else row
                self.rows.append(row._replace(doubt=doubts.get(param, "")))
        there = {row.name for row in self.rows}  # with those that have been added since
        self.frozen = [name for name in frozen if name not in there]

    def __iter__(self) -> Iterator[Row]:
        """Go through the rows, in the order of the groups."""
        return iter(self.rows)

    def __len__(self) -> int:
        """Return how many parameters there are."""
        return len(self.rows)

    def __str__(self) -> str:
        """Show the rows as a table, the parts with their sizes, and the doubts."""
        shown = [("name", "shape", "part", "because")]
        for row in self.rows:
            options = "".join(f", {key}={value!r}" for key, value in row.options.items())
            size = "x".join(map(str, row.shape)) or "()"
            mark = " (!)" if row.doubt else ""
            shown.append((row.name, size, row.part, f"{row.reason}{options}{mark}"))
        lines = _aligned(shown)
        counts = {part: sum(row.part == part for row in self.rows) for part in self._parts}
        lines += ["", "parts"]
        for part, kind in self._parts.items():
            numbers = self._numbers[part]
            lines.append(f"  {part} ({kind}): {counts[part]} parameters, {numbers:,} numbers")
        if self.frozen:
            lines.append(f"  none: {_some(self.frozen)}, frozen when Composite was made")
        doubts: dict[str, list[str]] = {}
        for row in self.rows:
            if row.doubt:
                doubts.setdefault(row.doubt, []).append(row.name)
        if doubts:
            lines += ["", "(!) look at"]
            lines += [f"  {_some(names)}: {doubt}" for doubt, names in doubts.items()]
        return "\n".join(lines)


def _row(place: str, group: Group, param: Tensor, decision: Decision | None) -> Row:
    row = Row(place, tuple(param.shape), group[ALGORITHM], "", "its group says so", {}, "")
    if decision is None or decision.part != group[ALGORITHM]:
        return row
    return row._replace(line=decision.line, reason=decision.reason, options=decision.options)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
