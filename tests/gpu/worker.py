"""A process that goes through parts of the trial."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from tests.gpu.notes import Notes


class Part(NamedTuple):
    """A part of the trial.

    Attributes:
        module: Where its function is, which has the name of the part.
        seconds: How long it may take.
        processes: How many processes share it; one, if it takes times.
    """

    module: str
    seconds: int
    processes: int = 1


PARTS = {
    "look": Part("look", 25),
    "adamw": Part("table", 75),
    "waits": Part("waits", 25, 4),
    "graphs": Part("graphs", 25, 4),
    "agreement": Part("agreement", 90, 8),
    "several": Part("table", 40),
    "elementwise": Part("table", 45),
    "twice": Part("agreement", 25, 4),
    "codes": Part("agreement", 20, 8),
    "storage": Part("table", 30),
    "first_steps": Part("first", 25),
    "configurations": Part("configurations", 25),
    "compiled": Part("table", 30),
}
"""The parts in their order; together they may take 8 minutes. The first five, in four minutes, tell
most: whether kernels run, how fast, without a wait, in graphs, and with right results."""


def main(arguments: Sequence[str]) -> None:
    """Go through parts, and write their results to a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="+")
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--shard", type=int, default=0)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--rehearse", action="store_true")
    asked = parser.parse_args(arguments)
    end = time.monotonic() + asked.seconds
    notes = Notes(asked.to)
    warnings.simplefilter("ignore")
    with ExitStack() as stack:
        if asked.rehearse:
            os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported
            from tests.engines.devices.gpu.interpreted import on_interpreter

            stack.enter_context(on_interpreter(32))
        from tests.gpu.machine import Machine

        machine = Machine(asked.rehearse, end, asked.shard, asked.shards)
        for name in asked.parts:
            notes.part = name
            with notes.failing_softly("the whole part"):
                run: Callable[[Machine, Notes], None] = getattr(
                    import_module(f"tests.gpu.{PARTS[name].module}"), name
                )
                run(machine, notes)


if __name__ == "__main__":
    main(sys.argv[1:])
