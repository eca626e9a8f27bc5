"""Running the kernels of a step, so that it happens as a whole or not at all."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from schuss.engines.fused import threads, walker
from schuss.engines.fused.launch import Launch
from schuss.engines.fused.torch_layout import torch_layout
from schuss.engines.fused.words import RUN_DONE, RUN_PARALLEL


class Run:
    """Kernels that run one after the other.

    A signal that arrives while they run (Ctrl-C, say) is noticed by Python when all of them are
    through, if the function that calls them has been compiled.

    Args:
        launches: The launches, prepared.
    """

    def __init__(self, launches: Sequence[Launch]) -> None:
        self.launches = launches
        self._records = np.array([each.record.ctypes.data for each in launches], dtype=np.int64)
        self._job = np.array(
            [0, len(launches), self._records.ctypes.data, threads.parallel_entry() or 0],
            dtype=np.int64,
        )

        self._address = self._job.ctypes.data
        self._has_threads = bool(self._job[RUN_PARALLEL])

    @property
    def is_done(self) -> bool:
        """Whether all of them have run since `begin`."""
        return bool(self._job[RUN_DONE])

    def begin(self) -> None:
        """Note that they are yet to run."""
        self._job[RUN_DONE] = 0

    def take(self) -> bool:
        """Run them, and tell whether that has raised the versions of what they write to."""
        compiled = _compiled() if walker.is_compiled() else None
        if compiled and (self._has_threads or all(each.threads == 1 for each in self.launches)):
            compiled(self._address)
            return torch_layout() is not None
        for launch in self.launches:
            launch.run()
        self._job[RUN_DONE] = 1
        return False


@cache
def _compiled() -> Any:
    """Return `run`, during which other threads of Python may go on."""
    return ctypes.CFUNCTYPE(None, ctypes.c_int64)(walker.compiled()["run"])
