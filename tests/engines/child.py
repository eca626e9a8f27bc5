"""A process that may crash: what it was doing then is told by the test that asked for it."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TextIO

THREADS = 2
"""Threads of a kernel in the child, so that they share tensors out even on one core."""


class Child:
    """One process for many calls, and a new one after a crash."""

    def __init__(self) -> None:
        self._logs = tempfile.TemporaryDirectory()
        self._last, self._trace = (Path(self._logs.name) / name for name in ("last", "trace"))
        self._pool: ProcessPoolExecutor | None = None

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function returns there.

        Raises:
            AssertionError: The process died; says what was reported last, and where it was.
        """
        if self._pool is None:
            logs = (str(self._last), str(self._trace))
            # Threads that wait without spinning leave the cores to other tests.
            os.environ.setdefault("OMP_WAIT_POLICY", "passive")
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, context, _begin, logs)
        try:
            return self._pool.submit(function, *arguments).result()
        except BrokenProcessPool:
            self._pool = None
            trace, _, _ = self._trace.read_text().partition("\nExtension modules")
            told = f"the process died at: {self._last.read_text()}\n{trace}"
            raise AssertionError(told) from None

    def close(self) -> None:
        """End the process."""
        if self._pool is not None:
            self._pool.shutdown()
        self._logs.cleanup()


def report(what: str) -> None:
    """Note, in the child, what it is about to do."""
    if _files:
        _files[0].seek(0)
        _files[0].truncate()
        _files[0].write(what)
        _files[0].flush()


_files: list[TextIO] = []


def _begin(last: str, trace: str) -> None:
    import torch

    # For as long as the process lives.
    _files.extend([Path(last).open("w"), Path(trace).open("w")])  # noqa: SIM115
    faulthandler.enable(_files[1])
    torch.set_num_threads(THREADS)
    warnings.simplefilter("error")  # an engine that hands over to a slower one warns
