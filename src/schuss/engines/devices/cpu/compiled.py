"""Functions of generated modules: compiled and loaded, each text once in a process."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schuss.engines.devices.cpu import cache, machine

_lock = threading.RLock()
_made: dict[str, tuple[Path | None, list[int]]] = {}


def functions(kind: str, text: str, names: Sequence[str]) -> tuple[Path | None, list[int]]:
    """Return the file of a source, if it could be kept, and the addresses of its functions.

    Args:
        kind: The beginning of the names of its files.
        text: The source, a module.
        names: Its functions.
    """
    with _lock:
        if text not in _made:
            path, code = cache.stored(kind, text, names)
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
