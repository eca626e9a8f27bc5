"""`docs/ledger.md`: written by `make ledger`."""

from __future__ import annotations

from pathlib import Path

import torch

import schuss
from tests.conformance.trajectories import ON
from tests.ledger.defaults import other_defaults
from tests.ledger.row import Row

PATH = Path(__file__).parents[2] / "docs" / "ledger.md"
BEGIN, END = "<!-- begin ledger -->", "<!-- end ledger -->"
HEAD = ("algorithm", "run against", "options", "steps", *ON, "float32", "other defaults")
HEAD += ("deviations",)


def described(row: Row) -> list[str]:
    """Return what a line of the document begins with."""
    (info,) = schuss.list_optimizers(row.algorithm)
    address = info.source.rpartition("<")[2].rstrip(">")
    return [f"[{row.algorithm}]({address})", row.origin, row.options, str(row.training.steps)]


def line(row: Row, distances: list[str] | None = None) -> list[str]:
    """Return the line of a row, whose distances are measured if they are not given."""
    if distances is None:
        found = [*map(row.apart, ON), row.apart("fused", torch.float32)]
        distances = [f"{x:.0e}" if x else "0" for x in found]
    return [*described(row), *distances, other_defaults(row), row.deviation]


def measured(path: Path) -> dict[str, list[str]]:
    """Return the distances that the document tells, by the names of the rows."""
    lines = read(path)
    return {f"{each[0][1:].partition(']')[0]}, {each[1]}, {each[2]}": each[4:8] for each in lines}


def write(path: Path, lines: list[list[str]]) -> None:
    """Put the lines between the two markers of the document."""
    rule = ["---", "---", "---", "--:", *["--:"] * (len(ON) + 1), "---", "---"]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in [list(HEAD), rule, *lines])
    text = path.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    path.write_text(f"{before}{BEGIN}\n\n{table}\n\n{after}", encoding="utf-8")


def read(path: Path) -> list[list[str]]:
    """Return the lines of the document, cell by cell."""
    text = path.read_text(encoding="utf-8")
    table = text[text.index(BEGIN) : text.index(END)].splitlines()
    lines = [each.removeprefix("| ").removesuffix(" |") for each in table if each.startswith("|")]
    return [each.split(" | ") for each in lines[2:]]
