"""A run that is killed at any moment goes on as if nothing had been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schuss.cli.mnist import checkpoint
from tests.cli.mnist.experiments import assert_same_end
from tests.covers import EXHAUSTIVE

ROOT = Path(__file__).parents[3]
KILLS, EPOCHS = (50, 25) if EXHAUSTIVE else (10, 6)
OPTIMIZERS = {"adamw": "adamw:lr=2e-3,weight_decay=0.1", "sophia": "sophia:lr=1e-3"}


def record(path: Path) -> dict[str, Any]:
    """Return the record of a run without its times, which differ."""
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["curve"]["seconds"]
    timed = {key for key in content["final"] if "second" in key}
    assert timed
    return {**content, "final": {k: v for k, v in content["final"].items() if k not in timed}}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="lives are forked")
def test_a_run_that_is_killed_many_times_ends_in_the_same_bits(
    data_dir: Path, tmp_path: Path
) -> None:
    arguments = ["--data", "mnist", "--data-dir", str(data_dir), "--device", "cpu"]
    arguments += ["--epochs", str(EPOCHS), "--batch-size", "32"]
    arguments += [text for spec in OPTIMIZERS.values() for text in ("--optimizer", spec)]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    ended = subprocess.run(
        [sys.executable, "-m", "tests.cli.mnist.killing", str(KILLS), str(tmp_path), *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 0  # some lives were long enough to save something
    assert sorted(p.name for p in broken.iterdir()) == sorted(p.name for p in whole.iterdir())
    for name in OPTIMIZERS:
        assert_same_end(*(checkpoint.read(out / f"{name}.pt") for out in (whole, broken)))
        assert record(broken / f"{name}.json") == record(whole / f"{name}.json")
