"""`schuss bench orthogonal`: the document has the errors that are measured here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schuss.cli.app import app
from schuss.cli.bench import orthogonal
from schuss.cli.bench.markdown import markers
from schuss.cli.bench.orthogonal import CONDITIONS, ORTHOGONAL, WAYS, error, interval, rounding
from schuss.matrices import SETS

PAGE = Path(__file__).parents[3] / "docs" / "matrices.md"
CELL = {"Gaussian": None, "1e+03": 1e3, "1e+06": 1e6}


def rows(begin: str) -> list[list[str]]:
    """Return the cells of the table under a heading of the document."""
    text = PAGE.read_text(encoding="utf-8").split(f"### {begin}")[1].split("###")[0]
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]


def test_the_document_has_the_distances_from_the_polar_factor():
    _, _, *table = rows("Distance from the polar factor")
    assert [row[0] for row in table] == [*SETS]
    for name, steps, ends, *cells in table:
        assert int(steps) == SETS[name].steps
        assert [float(end) for end in ends.split(" to ")] == pytest.approx(interval(name), abs=2e-3)
        assert len(cells) == 1 + len(CONDITIONS)
        # Of what float32 decides itself, the order of magnitude.
        found, written = error(name, 1e3, "float32"), float(cells[3])
        assert found == pytest.approx(written, rel=0.1 if written > 1e-5 else 9.0)


def test_the_document_has_the_distances_that_rounding_makes():
    _, _, *table = rows("Distance from the same steps")
    assert [row[0] for row in table] == [name for name in SETS for _ in CELL]
    for name, matrix, *cells in table:
        for way, cell in list(zip(WAYS, cells, strict=True))[2:]:
            found = rounding(name, CELL[matrix], way)
            # The sums of products are added up in another order on another processor.
            assert (cell == "refused") if found is None else found < 2 * float(cell)


def test_the_command_writes_the_tables_into_a_document(tmp_path, monkeypatch):
    monkeypatch.setattr(orthogonal, "SETS", {name: SETS[name] for name in ("jordan", "cans")})
    document = tmp_path / "page.md"
    document.write_text("\n".join(["# Page", *markers(ORTHOGONAL), "End\n"]))
    result = CliRunner().invoke(app, ["bench", ORTHOGONAL, "--markdown", str(document)])
    assert result.exit_code == 0, result.output
    text = document.read_text()
    assert re.findall(r"^\| (\w+) \| \d+ \|", text, re.MULTILINE) == ["jordan", "cans"]
    assert len(re.findall(r"^\| cans \| .* \| refused \|$", text, re.MULTILINE)) == 3
    assert text.startswith("# Page\n")
    assert text.endswith("End\n")
