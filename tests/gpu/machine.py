"""The machine that kernels are tried on: a GPU, or Triton's interpreter to rehearse without one."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import torch

from schuss.engines.devices.gpu import launch
from schuss.storage.codecs import CODECS, policy

Case = TypeVar("Case")

REHEARSED = 2
"""How many of its cases a part goes through when it is rehearsed."""


@dataclass
class Machine:
    """A machine, and the time that a part of the trial has on it.

    Attributes:
        rehearses: Whether the interpreter takes the place of a GPU.
        end: When the part has to end, on the clock of `time.monotonic`.
        shard: The number of this process among those that share the cases of the part.
        shards: How many processes share them.
    """

    rehearses: bool
    end: float
    shard: int = 0
    shards: int = 1

    @property
    def device(self) -> str:
        """Where parameters are put."""
        return "cpu" if self.rehearses else "cuda"

    @property
    def is_late(self) -> bool:
        """Whether the time of the part is over."""
        return time.monotonic() > self.end

    def share(self, cases: Sequence[Case]) -> list[Case]:
        """Return the cases that are this process's; in a rehearsal few of them."""
        mine = list(cases[self.shard :: self.shards])
        return mine[:: max(1, len(mine) // REHEARSED)][:REHEARSED] if self.rehearses else mine

    def verdict(self, reached: bool) -> bool | None:  # it is all that there is
        """Return whether a time is what it has to be, which only a GPU can tell."""
        return None if self.rehearses else reached

    def wait(self) -> None:
        """Wait until the device has done all that it was told to do."""
        if not self.rehearses:
            torch.cuda.synchronize()

    def forget(self) -> None:
        """Give memory back that nothing uses."""
        if not self.rehearses:
            torch.cuda.empty_cache()

    @contextmanager
    def no_waits(self) -> Iterator[None]:
        """Refuse whatever waits for the device."""
        if self.rehearses:
            from tests.engines.devices.gpu.waits import no_reads

            with no_reads():
                yield
            return
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    def captured(self, step: Callable[[], object]) -> Callable[[], object]:
        """Capture a step, which does not take it, and return what takes it."""
        if self.rehearses:
            return step
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        return graph.replay

    @contextmanager
    def keeping_codes(self) -> Iterator[None]:
        """Let the small parameters of a rehearsal have codes as large ones have."""
        with pytest.MonkeyPatch.context() as patch:
            if self.rehearses:
                patch.setattr(policy, "SMALLEST", 1)
                patch.setattr(launch, "BLOCK", max(codec.block for codec in CODECS.values()))
            yield

    def seconds(self, call: Callable[[], object], times: int) -> tuple[float, float]:
        """Return the seconds of a call, on the whole, and until it returns.

        Args:
            call: The call, which may return before the device is done.
            times: How often it is called; the device is waited for at the end.
        """
        self.wait()
        start = time.perf_counter()
        for _ in range(times):
            call()
        returned = time.perf_counter()
        self.wait()
        return (time.perf_counter() - start) / times, (returned - start) / times


def about() -> dict[str, Any]:
    """Return the names and versions that a result depends on."""
    import numba
    import triton

    has_gpu = torch.cuda.is_available()
    return {
        "card": torch.cuda.get_device_name() if has_gpu else "Triton's interpreter",
        "memory": torch.cuda.get_device_properties(0).total_memory if has_gpu else 0,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "triton": triton.__version__,
        "python": platform.python_version(),
        "numba": numba.__version__,
        "cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
        "commit": _commit(),
    }


def _commit() -> str:
    """Return the commit that is tried, as far as git knows it."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
