"""The time of an import."""

import re
import sys

import pytest
from typer.testing import CliRunner

from schuss.cli.app import app


def test_an_import_takes_time_in_a_new_process() -> None:
    result = CliRunner().invoke(app, ["bench", "import", "--rounds", "1"], catch_exceptions=False)
    assert result.exit_code == 0
    told = re.fullmatch(r"import schuss: ([0-9.]+) ms after torch; the aim is 60\n", result.stdout)
    assert told is not None
    assert float(told[1]) > 0


def test_a_process_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    result = CliRunner().invoke(app, ["bench", "import"], catch_exceptions=False)
    assert result.exit_code == 1
    assert "schuss: schuss cannot be imported" in result.stderr
