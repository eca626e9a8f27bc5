"""The trial on a GPU goes through, on Triton's interpreter: it is to work when there is a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.gpu.worker import PARTS, Part

ROOT = Path(__file__).parents[2]


def test_every_part_goes_through_without_a_gpu(tmp_path):
    command = [sys.executable, "-m", "tests.gpu", "--rehearse"]
    place = os.environ | {"OUT": str(tmp_path)}
    done = subprocess.run(command, check=False, cwd=ROOT, env=place, capture_output=True, text=True)
    results = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert not [result for result in results if result["ok"] is False], done.stdout
    assert done.returncode == 0, done.stderr
    # Its compiler takes a minute, even for a tiny model.
    assert {result["part"] for result in results} == PARTS.keys() - {"compiled"}


def test_the_parts_take_eight_minutes_at_most():
    assert sum(part.seconds for part in PARTS.values()) <= 8 * 60


def test_parts_that_measure_times_have_the_machine_for_themselves():
    shared = {name for name, part in PARTS.items() if part != Part(part.module, part.seconds)}
    assert shared == {"agreement", "codes", "twice", "waits", "graphs"}
