"""Kernels: printed, compiled, and loaded, each once in a process.

A kernel is what its program says: its text names no optimizer and no key of a state, so optimizers
with one rule share it, in memory and on disk.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from schuss.engines.fused import cache as files
from schuss.engines.fused import machine
from schuss.engines.fused.printer import KernelSource, kernel_source
from schuss.engines.fused.storage import Storage
from schuss.engines.tracing.program import Program

_lock = threading.RLock()
_made: dict[str, tuple[Path | None, list[int]]] = {}


class Kernel(NamedTuple):
    """A compiled program.

    Attributes:
        source: Its source.
        path: The file with its text; None if no file could be kept.
        passes: Addresses of the functions that go through the tensors, in order.
        closing: Address of the function that comes last, once for each tensor, or None.
    """

    source: KernelSource
    path: Path | None
    passes: tuple[int, ...]
    closing: int | None


@cache
def kernel(program: Program, storage: Storage) -> Kernel:
    """Return the compiled kernel of a program.

    Args:
        program: The program.
        storage: How the numbers are kept.
    """
    source = kernel_source(program, storage)
    names = [each.name for each in source.passes] + ([source.closing] if source.closing else [])
    path, addresses = functions(f"step_{storage.real}", source.text, names)
    passes = tuple(addresses[: len(source.passes)])
    return Kernel(source, path, passes, addresses[-1] if source.closing else None)


def functions(kind: str, text: str, names: Sequence[str]) -> tuple[Path | None, list[int]]:
    """Return the file of a source, if it could be kept, and the addresses of its functions.

    Args:
        kind: What the names of its files begin with.
        text: The source, a module.
        names: Its functions.
    """
    with _lock:
        if text not in _made:
            path, code = files.stored(kind, text, names)
            _made[text] = path, machine.loaded([code[name] for name in names])
        return _made[text]


_held: list[Any] = []


def _before_fork() -> None:
    """Wait for the end of a compile: its thread is not in the child, and could release no lock."""
    numba = sys.modules.get("numba.core.compiler_lock")
    for lock in (_lock, getattr(numba, "global_compiler_lock", None)):
        if lock is not None:
            lock.acquire()
            _held.append(lock)


def _after_fork() -> None:
    while _held:
        _held.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
