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
    "agreement": Part("agreement", 100, 8),
    "codes": Part("agreement", 20, 8),
    "twice": Part("agreement", 25, 4),
    "waits": Part("waits", 25, 4),
    "graphs": Part("graphs", 25, 4),
    "adamw": Part("table", 80),
    "several": Part("table", 40),
    "storage": Part("table", 30),
    "elementwise": Part("table", 50),
    "configurations": Part("configurations", 30),
    "first_steps": Part("first", 25),
    "compiled": Part("table", 30),
}
"""The parts in their order; together they may take a little less than 8 minutes."""


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
