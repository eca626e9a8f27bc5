"""Heats in a process of their own."""

from pathlib import Path

import pytest

from schuss.cli.bench import apart
from schuss.cli.bench.apart import run_apart
from schuss.cli.bench.heats import Settings
from schuss.cli.bench.workloads import WORKLOADS
from tests.cli.bench.records import ADAMW

FIRST = Settings(rounds=0, threads=1, block=0.01)


def test_a_new_process_tells_the_time_of_the_first_step_and_keeps_the_kernel(
    tmp_path: Path,
) -> None:
    environment = {"SCHUSS_CACHE_DIR": str(tmp_path)}
    heat = run_apart(ADAMW, WORKLOADS["mnist"], ["schuss-fused"], FIRST, environment)
    assert heat.left_out == {}
    assert heat.runners["schuss-fused"].first_ms > 0
    assert any(tmp_path.rglob("*.py"))


def test_a_process_that_fails_leaves_its_contenders_out() -> None:
    heat = run_apart(ADAMW, WORKLOADS["mnist"], ["nobody"], FIRST, {})
    assert heat.left_out == {"nobody": "its process failed: KeyError: 'nobody'"}


def test_a_process_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_PATIENCE", 0.01)
    heat = run_apart(ADAMW, WORKLOADS["mnist"], ["floor"], FIRST, {})
    assert heat.left_out == {"floor": "not ready after 0.01 s"}
