"""Tries kernels on the GPU of this machine: `make gpu`.

Every part runs in processes of its own, which end when their time is over: a kernel that hangs, or
one that takes the device down, costs its part and no other.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tests.gpu.machine import about
from tests.gpu.summary import summary
from tests.gpu.worker import PARTS

GRACE = 20
"""Seconds that a process has beyond its time, to be started and to end the case that it is at."""

TOTAL = 560
"""Seconds that all parts may take: what does not fit any more is left out."""


def main(arguments: Sequence[str]) -> int:
    """Go through all parts, print a summary, and write the results to a file."""
    parser = argparse.ArgumentParser(prog="make gpu", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; all, if none")
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes, without a GPU")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    told = about()
    if not (asked.rehearse or torch.cuda.is_available()):
        parser.error("torch sees no GPU here; --rehearse goes through all parts without one")
    names = asked.parts or list(PARTS)
    results: list[dict[str, Any]] = []
    seconds: dict[str, float] = {}
    path = Path(os.environ.get("OUT") or "build").absolute() / "gpu.json"
    directory = path.with_suffix("")  # whose files have all results of a part that does not end
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    os.environ.setdefault("TRITON_CACHE_DIR", str(path.parent / "triton"))
    os.environ.setdefault("SCHUSS_CACHE_DIR", str(path.parent / "cache"))
    end = time.monotonic() + TOTAL
    # In a rehearsal one process is enough.
    for together in [names] if asked.rehearse else [[name] for name in names]:
        begin = time.monotonic()
        found = _run(together, directory, end, rehearse=asked.rehearse)
        results += found
        seconds[" ".join(together)] = round(time.monotonic() - begin, 1)
        record = {"about": told, "seconds": seconds, "results": results}
        path.write_text(json.dumps(record), encoding="utf-8")
        sys.stdout.write(f"{summary({'part': ' '.join(together)}, found)}\n\n")
        sys.stdout.flush()
    sys.stdout.write(f"{'=' * 80}\n{summary(told, results)}\n\nwritten to {path}\n")
    return int(any(result["ok"] is False for result in results))


def _run(
    names: Sequence[str], directory: Path, end: float, *, rehearse: bool
) -> list[dict[str, Any]]:
    """Return the results of some parts, which the same processes go through."""
    left = end - time.monotonic() - GRACE
    seconds = min(sum(PARTS[name].seconds for name in names), left)
    if seconds < GRACE:
        return [
            {"part": name, "case": "all", "ok": None, "told": "no time was left"} for name in names
        ]
    count = 1 if rehearse else max(PARTS[name].processes for name in names)
    command = [sys.executable, "-m", "tests.gpu.worker", *names, "--seconds", str(seconds)]
    command += ["--shards", str(count), *(["--rehearse"] if rehearse else [])]
    files = [directory / f"{names[0]}_{number}.jsonl" for number in range(count)]
    processes = [
        subprocess.Popen([*command, "--shard", str(number), "--to", str(file)])
        for number, file in enumerate(files)
    ]
    latest = time.monotonic() + seconds + GRACE
    results: list[dict[str, Any]] = []
    for process, file in zip(processes, files, strict=True):
        told = _ended(process, latest)
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        results += [json.loads(line) for line in lines if line.endswith("}")]  # one may be cut off
        if told:
            results.append({"part": names[0], "case": "the process", "ok": False, "told": told})
    return results


def _ended(process: subprocess.Popen[bytes], latest: float) -> str:
    """Wait for a process until some time, and return what was wrong with its end."""
    try:
        code = process.wait(timeout=max(latest - time.monotonic(), 1.0))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return "did not end in its time"
    return f"ended with {code}" if code else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
