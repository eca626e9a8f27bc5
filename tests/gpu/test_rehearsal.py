"""The trial on a GPU goes through, on Triton's interpreter: it is to work when there is a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from schuss.cli.bench.markdown import markers, read_document
from tests.gpu import __main__ as trial
from tests.gpu import publish, ready
from tests.gpu.ready import lacks
from tests.gpu.worker import PARTS, Part

ROOT = Path(__file__).parents[2]
ABOUT = ("card", "date", "torch", "cuda", "triton", "commit")


def test_every_part_goes_through_without_a_gpu(tmp_path):
    command = [sys.executable, "-m", "tests.gpu", "--rehearse"]
    place = os.environ | {"OUT": str(tmp_path)}
    done = subprocess.run(command, check=False, cwd=ROOT, env=place, capture_output=True, text=True)
    results = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert not [result for result in results if result["ok"] is False], done.stdout
    assert done.returncode == 0, done.stderr
    # Its compiler takes a minute, even for a tiny model.
    assert {result["part"] for result in results} == PARTS.keys() - {"compiled"}


WORKER = """#!{python}
import sys, time
part, to = sys.argv[3], sys.argv[sys.argv.index("--to") + 1]
right = '{{"part": "' + part + '", "case": "one", "ok": true, "ms": 2.0, "wanted": "at least 1 x"}}'
with open(to, "w") as file:
    file.write(right + chr(10) + ('{{"part": "' if part == "agreement" else ""))
if part == "waits":
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
if part == "graphs":
    time.sleep(60)
sys.exit(3 if part == "agreement" else 0)
"""
"""Takes the place of Python, and so of every process that goes through a part."""


@pytest.fixture
def failing(tmp_path, monkeypatch) -> Path:
    """Go through all parts with a device that fails in three of them, each in its own way."""
    worker = tmp_path / "python"
    worker.write_text(WORKER.format(python=sys.executable))
    worker.chmod(0o755)
    quick = {name: part._replace(seconds=1, processes=1) for name, part in PARTS.items()}
    monkeypatch.setattr(trial, "PARTS", quick)
    monkeypatch.setattr(trial, "GRACE", 0.5)
    monkeypatch.setattr(trial, "about", lambda: dict.fromkeys(ABOUT, "x"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(sys, "executable", str(worker))
    monkeypatch.setenv("OUT", str(tmp_path))
    assert trial.main([]) == 1
    return tmp_path / "gpu.json"


def test_a_part_that_fails_costs_no_other_part_its_results(failing, capsys):
    record = json.loads(failing.read_text())
    wrong = {r["part"]: r["told"] for r in record["results"] if not r["ok"]}
    assert wrong == {
        "waits": "ended with -9",
        "graphs": "did not end in its time",
        "agreement": "ended with 3",
    }
    assert [r["part"] for r in record["results"] if r["ok"]] == list(PARTS)
    assert record["seconds"].keys() == PARTS.keys()


def test_results_become_a_section_of_a_document(failing, tmp_path):
    document = tmp_path / "page.md"
    before, after = markers("gpu", "make")
    document.write_text(f"# Times\n\n{before}\nof yesterday\n{after}\n\nThe end.\n")
    publish.main([str(failing), str(document)])
    text = document.read_text()
    assert text.startswith("# Times")
    assert text.endswith("The end.\n")
    assert "yesterday" not in text
    assert "| no wait in a step | 1 | 1 | 0 |" in text
    assert "| one | 2.000 |  |  |  | at least 1 x | yes |" in text
    assert "- graphs: the process: did not end in its time" in text


def test_the_benchmarks_have_a_place_for_the_results():
    read_document(publish.DOCUMENT, "gpu", "make")


def test_a_machine_that_lacks_something_is_told_what(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert lacks([]) == f"has torch {torch.__version__}, which sees no GPU"
    assert not lacks(["--rehearse"])
    monkeypatch.setattr(ready, "find_spec", lambda name: None if name in ("numba", "torch") else 1)
    assert lacks([]) == "has no torch and no numba"


def test_without_a_python_that_can_nothing_is_tried():
    command = ["make", "gpu", "PYTHON=false", "BIN=nowhere"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode
    assert "nothing was tried: make gpu needs" in done.stderr


def test_the_parts_take_eight_minutes_at_most():
    assert sum(part.seconds for part in PARTS.values()) <= 8 * 60


def test_parts_that_measure_times_have_the_machine_for_themselves():
    shared = {name for name, part in PARTS.items() if part != Part(part.module, part.seconds)}
    assert shared == {"agreement", "codes", "twice", "waits", "graphs"}
