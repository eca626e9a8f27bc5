"""A run of `schuss mnist` that is killed again and again, until it has been killed often enough.

Each life of the run is a process that has been forked from this one, after its imports. Half of the
lives end before the operation on a file of the experiment whose number has been drawn, and so
between any two of them. The others end after a time on the processor that has been drawn, at
whatever is done then. Nothing handles the signals, SIGKILL and SIGPROF: a process is gone at once.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import pooch
import sklearn.datasets
import torch
import torch._dynamo

import schuss.cli.app
import schuss.cli.mnist.figure
import schuss.cli.mnist.launch

IMPORTED = (pooch, sklearn.datasets, torch._dynamo, schuss.cli.app, schuss.cli.mnist.figure)
"""Modules that the command imports when it needs them, which takes longer than an epoch."""

_LONGEST = 0.8  # seconds of a life; it takes about 0.2 to begin, and 0.06 for an epoch
_MOST = 30  # operations on files in a life; it takes 12 to begin, and 3 for an epoch


def kills_before(directory: Path, count: int) -> Callable[[str, tuple[Any, ...]], None]:
    """Return a hook that kills this process before an operation on a file below a directory.

    Args:
        directory: The directory.
        count: The number of the operation, from 1.
    """
    left = count

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in {"open", "os.rename", "os.remove", "os.mkdir"}:
            paths = [path for path in arguments[:2] if isinstance(path, str | Path)]
            if any(directory in Path(path).parents for path in paths):
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)

    return hook


def live(arguments: list[str], out: Path, operations: int, seconds: float) -> NoReturn:
    """Run the command in this process, and end it.

    Args:
        arguments: The arguments of `schuss mnist`.
        out: The directory of the experiment, which is resumed if it has begun.
        operations: The number of the operation on a file before which the process is killed; 0 if
            it is not.
        seconds: The time on the processor after which the process is killed; 0 if it is not.
    """
    with (out.parent / "output.txt").open("ab", buffering=0) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    if operations:
        sys.addaudithook(kills_before(out, operations))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    where = "--resume" if (out / "experiment.json").exists() else "--out"
    sys.argv = ["schuss", "mnist", *arguments, where, str(out)]
    code: Any = 1
    try:
        schuss.cli.main()
    except SystemExit as end:
        code = end.code
    finally:
        os._exit(code if isinstance(code, int) else 1)


def survived(arguments: list[str], out: Path, operations: int, seconds: float) -> bool:
    """Let the run live once more, as `live` does, and tell whether it ended by itself.

    Raises:
        RuntimeError: It ended with an error.
    """
    process = os.fork()
    if not process:
        live(arguments, out, operations, seconds)
    _, status = os.waitpid(process, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError((out.parent / "output.txt").read_text()[-2000:])
    return os.WIFEXITED(status)


def main(kills: int, folder: Path, arguments: list[str]) -> None:
    """Train once without a kill, into `whole`, and once with kills, into `broken`.

    The number of lives after which other checkpoints were there than before is printed.
    """
    torch.set_num_threads(1)
    survived(arguments, folder / "whole", 0, 0.0)
    broken, draw = folder / "broken", random.Random(kills)
    seen: list[list[tuple[str, int]]] = []
    while len(seen) < kills:
        moment = draw.choice([(draw.randint(1, _MOST), 0.0), (0, draw.uniform(0, _LONGEST))])
        if not survived(arguments, broken, *moment):
            files = sorted(broken.glob("*.pt"))
            seen.append([(file.name, file.stat().st_mtime_ns) for file in files])
    survived(arguments, broken, 0, 0.0)
    sys.stdout.write(str(sum(one != other for one, other in pairwise(seen))))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
