"""Running the kernels of a step, so that it happens as a whole or not at all."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from schuss.engines.devices.cpu import threads
from schuss.engines.devices.cpu.compiled import functions
from schuss.engines.devices.cpu.torch_layout import torch_layout
from schuss.engines.devices.cpu.words import RUN_DONE, RUN_PARALLEL

if TYPE_CHECKING:
    from schuss.engines.devices.cpu.launch import Launch

PATIENCE = 3
"""Steps before the function that runs kernels is compiled, so that the first need not wait."""

_SOURCE = Path(__file__).with_name("run_compiled.py")


class Run:
    """Kernels that run one after the other.

    A signal that arrives while they run (Ctrl-C, say) is noticed by Python when all of them are
    through, if the function that calls them has been compiled.

    Args:
        launches: The launches, prepared.
    """

    def __init__(self, launches: Sequence[Launch]) -> None:
        self.launches = launches
        self._records = np.array(
            [each.told.record.ctypes.data for each in launches], dtype=np.int64
        )
        self._job = np.array(
            [0, len(launches), self._records.ctypes.data, threads.parallel_entry() or 0],
            dtype=np.int64,
        )
        self._address = self._job.ctypes.data
        self._has_threads = bool(self._job[RUN_PARALLEL])
        self._steps = 0
        self._compiled: Any = None
        self._raises = False

    @property
    def is_done(self) -> bool:
        """Whether all of them have run since `begin`."""
        return bool(self._job[RUN_DONE])

    def begin(self) -> None:
        """Note that they are yet to run."""
        self._job[RUN_DONE] = 0

    def take(self, skip: Tensor | None = None) -> bool:
        """Run them, and tell whether that has raised the versions of what they write to.

        Args:
            skip: Nothing: what the CPU has computed is read before a step.
        """
        if self._compiled is None and self._is_time():
            self._compiled, self._raises = compiled()[0], torch_layout() is not None
        has_threads = self._has_threads or all(each.threads == 1 for each in self.launches)
        if self._compiled is not None and has_threads:
            self._compiled(self._address)
            return self._raises
        for launch in self.launches:
            _run_in_python(launch)
        self._job[RUN_DONE] = 1
        return False

    def _is_time(self) -> bool:
        self._steps += 1
        return self._steps >= PATIENCE or bool(compiled.cache_info().currsize)


def _run_in_python(launch: Launch) -> None:
    kernel = launch.kernel
    for function, about in zip(kernel.passes, kernel.source.passes, strict=True):
        launch.begin_pass()
        threads.run(function, launch.address, launch.threads)
        launch.end_pass(about)
    if kernel.closing is not None:
        threads.run(kernel.closing, launch.address, 1)


@cache
def compiled() -> tuple[Any, Any]:
    """Return the functions that run kernels, and that note what they changed on another device.

    Other threads of Python may go on meanwhile.
    """
    text = _SOURCE.read_text(encoding="utf-8")
    _, addresses = functions("run", text, ["run", "changed"])
    run, changed = (ctypes.CFUNCTYPE(None, ctypes.c_int64)(address) for address in addresses)
    return run, changed
