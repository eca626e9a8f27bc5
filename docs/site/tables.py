"""The rows of the ledger, the benchmarks and the trainings that are about one optimizer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from docs.site.markdown import cells_of, table

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Table:
    """A table of a page: its head and its rows."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def of(self, name: str) -> list[dict[str, str]]:
        """Return the rows whose first cell is a name, or leads from it."""
        named = [row for row in self.rows if re.match(rf"\[?{re.escape(name)}(\]|$)", row[0])]
        return [dict(zip(self.head, row, strict=True)) for row in named]


def tables_of(text: str) -> list[Table]:
    """Return the tables of a page in Markdown."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        head, _, *rows = (tuple(cells_of(line)) for line in block.splitlines())
        found.append(Table(head, tuple(rows)))
    return found


def ledger() -> Table:
    """Return what every optimizer was run against."""
    return tables_of(_read("ledger.md"))[0]


def trained() -> Table:
    """Return what every optimizer made of the digits."""
    return next(t for t in tables_of(_read("trained.md")) if t.head[0] == "optimizer")


def timed() -> Table:
    """Return how long a step of every optimizer takes on ResNet-50."""
    return next(t for t in tables_of(_read("benchmarks.md")) if "passes" in t.head)


def times() -> str:
    """Return the table of the README that tells how long a step takes, in Markdown."""
    found = tables_of((ROOT / "README.md").read_text(encoding="utf-8"))
    short = next(t for t in found if t.head[0] == "model")
    return table(short.head, short.rows, right=range(1, len(short.head)))


def _read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")
