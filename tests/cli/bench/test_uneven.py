"""`schuss bench uneven`, on parameters small enough for a test."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from schuss.cli.app import app
from schuss.cli.bench import uneven
from schuss.optimizers import AdamW


@pytest.fixture
def _small(monkeypatch):
    cases = (
        ("4 parameters", (4, 30), (uneven.WHOLE, uneven.COMES)),
        ("5 parameters", (5, 8), (uneven.WHOLE, uneven.COUNTS)),
        ("6 parameters", (6, 4), (uneven.WHOLE, uneven.SCHEDULED, uneven.READ)),
    )
    monkeypatch.setattr(uneven, "CASES", cases)
    monkeypatch.setattr(uneven, "_BLOCK", 1e-4)


@pytest.mark.usefixtures("_small")
def test_every_contender_has_a_row_and_the_document_gets_them(tmp_path):
    document = tmp_path / "page.md"
    document.write_text(
        "# Page\n<!-- begin schuss bench: uneven -->\n<!-- end schuss bench: uneven -->\nEnd\n"
    )
    command = ["bench", "uneven", "--rounds", "3", "--threads", "1", "--markdown", str(document)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    text = document.read_text()
    rows = re.findall(
        r"^\| (every|half|a new|a moment) .* \| (.*) \| [\d.]+ \| [\d.]+ \[.*\] \|$",
        text,
        re.MULTILINE,
    )
    assert [contender for _, contender in rows] == [*uneven.MADE] * 7
    assert "schuss bench uneven --rounds 3 --threads 1" in text
    assert text.startswith("# Page\n")
    assert text.endswith("End\n")


def test_counts_are_those_of_parameters_that_came_one_after_another():
    step = uneven._step((3, 8), f"schuss fused: {uneven.COUNTS}")
    step()
    optimizer = step.__self__  # type: ignore[attr-defined]
    params = optimizer.param_groups[0]["params"]
    assert [optimizer.state[param]["step"] for param in params] == [2, 3, 4]


def optimizer_of(step):
    (optimizer,) = (
        cell.cell_contents for cell in step.__closure__ if isinstance(cell.cell_contents, AdamW)
    )
    return optimizer


def test_half_of_the_gradients_are_missing_and_all_have_their_turn():
    step = uneven._step((40, 8), f"schuss fused: {uneven.COMES}")
    counts = []
    for _ in range(3):
        step()
        params = optimizer_of(step).param_groups[0]["params"]
        counts.append(sum(param.grad is not None for param in params))
    assert all(5 < count < 35 for count in counts)


def test_a_schedule_gives_every_step_another_rate():
    step = uneven._step((3, 8), f"schuss fused: {uneven.SCHEDULED}")
    rates = []
    for _ in range(3):
        step()
        rates.append(optimizer_of(step).param_groups[0]["lr"])
    assert rates == [1e-3, 1e-3 / 2, 1e-3 / 3]
