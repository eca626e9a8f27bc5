"""Heats in a process of their own.

Some work happens only once in a process, such as importing a compiler, and some changes the process
for all later work. Such heats run in a process of their own, which runs this module, with the job
as JSON and a file for the answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from schuss.cli.bench.cases import Case
from schuss.cli.bench.contenders import prepared
from schuss.cli.bench.heats import Heat, Runner, Settings, run_heat
from schuss.cli.bench.workloads import WORKLOADS, Workload

_PATIENCE: Final = 900  # seconds; compiling a graph of 2000 tensors takes longer


class _Unwatched:
    def prepared(self, name: str) -> None:
        pass

    def round_done(self) -> None:
        pass


def run_apart(
    case: Case,
    workload: Workload,
    names: Sequence[str],
    settings: Settings,
    environment: Mapping[str, str],
) -> Heat:
    """Run a heat in a new process.

    Args:
        case: The optimizer.
        workload: One of `WORKLOADS`.
        names: The contenders.
        settings: How to do it.
        environment: Variables to set.

    Returns:
        The outcome of the heat; if the process failed, or took too long, all are left out.
    """
    job = {
        "case": asdict(case),
        "workload": workload.name,
        "names": list(names),
        "settings": asdict(settings),
    }
    with tempfile.TemporaryDirectory() as directory:
        answer = Path(directory) / "answer.json"
        try:
            done = _run(json.dumps(job), answer, environment)
        except subprocess.TimeoutExpired:
            return _all_left_out(names, f"not ready after {_PATIENCE} s")
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2]
            return _all_left_out(names, f"its process failed: {last}")
        return _as_heat(json.loads(answer.read_text(encoding="utf-8")))


def _run(
    job: str, answer: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", __name__, job, str(answer)],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )


def _all_left_out(names: Sequence[str], reason: str) -> Heat:
    return Heat(left_out=dict.fromkeys(names, reason))


def _as_heat(content: dict[str, Any]) -> Heat:
    runners = {name: Runner(**runner) for name, runner in content["runners"].items()}
    return Heat(runners, content["left_out"], content["others"])


def main(job: str, answer: Path) -> None:
    """Time the contenders of a job, and write the heat into a file for the other process."""
    content = json.loads(job)
    case, settings = Case(**content["case"]), Settings(**content["settings"])
    workload = WORKLOADS[content["workload"]]
    torch.set_num_threads(settings.threads)
    prepare = partial(prepared, case, workload, settings.device)
    heat = run_heat(content["names"], prepare, settings, _Unwatched())
    answer.write_text(json.dumps(asdict(heat)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
