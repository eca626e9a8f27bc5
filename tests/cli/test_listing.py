"""`schuss list`."""

import pytest
from typer.testing import CliRunner

import schuss
from schuss.cli.app import app


def test_every_optimizer_is_listed_with_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    for info in schuss.list_optimizers():
        assert info.name in result.output
        assert info.summary in result.output
    assert "https://arxiv.org/abs/1711.05101" in result.output
    assert "*" not in result.output


def test_a_pattern_chooses() -> None:
    result = CliRunner().invoke(app, ["list", "ada*"])
    assert "adabelief" in result.output
    assert "sophia" not in result.output


def test_one_optimizer_is_listed_with_its_hyper_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    output = CliRunner().invoke(app, ["list", "adamw"]).output
    rows = [line.split()[:4] for line in output.splitlines()]
    assert ["lr", "γ", "0.001", "Learning"] in rows
    assert ["betas", "β₁,", "β₂", "(0.9,"] in rows
    assert "It must be a tuple of 2 decay rates" in output
    assert "fused" not in output
    assert "hyper-parameter" not in CliRunner().invoke(app, ["list", "ada*"]).output


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    result = CliRunner().invoke(app, ["list", "adma"])
    assert result.exit_code == 1
    assert result.stderr == (
        "schuss: no optimizer matches 'adma'; `schuss list` without a pattern shows them all\n"
    )
