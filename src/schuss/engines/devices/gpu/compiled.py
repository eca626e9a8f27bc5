"""Modules of printed kernels: executed from the text that was just printed.

Triton compiles a function when it is called first, from its source, and keeps machine code in a
cache of its own.
"""

from __future__ import annotations

import hashlib
import linecache
import threading
from pathlib import Path
from typing import Any

from schuss.engines.devices.cpu import cache

_lock = threading.Lock()
_made: dict[str, tuple[Path | None, dict[str, Any]]] = {}


def module(kind: str, text: str) -> tuple[Path | None, dict[str, Any]]:
    """Return the file of a module for people to read, if one could be kept, and its names.

    Args:
        kind: The beginning of the name of its file.
        text: The module.
    """
    with _lock:
        if text not in _made:
            name = f"{kind}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
            _made[text] = cache.shown(name, text), _executed(f"<{name}>", text)
        return _made[text]


def _executed(name: str, text: str) -> dict[str, Any]:
    """Execute a module, whose source Triton will ask for by its name."""
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    names: dict[str, Any] = {"__name__": f"schuss.kernels.{name[1:-1]}"}
    exec(compile(text, name, "exec"), names)  # of our own text
    return names
