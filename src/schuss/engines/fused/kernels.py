"""Compiled kernels, and the files that they are compiled from.

A kernel's source is a readable file, named by a hash of what it says. The compiler keeps its result
beside it. A file that does not say what it should is written anew, and never run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from schuss.engines.fused.printer import kernel_source, places
from schuss.engines.fused.program import Program


class Kernel(NamedTuple):
    """A compiled program.

    Attributes:
        function: Called as `function(table, arguments, first, last)`; runs some rows of a table.
        places: The places whose addresses the columns of the table hold, after the count.
        itemsize: Bytes of one number.
        path: The source.
    """

    function: Callable[[Any, Any, int, int], None]
    places: tuple[str, ...]
    itemsize: int
    path: Path


@cache
def kernel(title: str, program: Program, real: str) -> Kernel:
    """Return the compiled kernel of a program.

    Args:
        title: Name of the optimizer that it is of.
        program: The program.
        real: `float32` or `float64`.
    """
    source = kernel_source(title, program, real)
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    name = f"{title.lower()}_{real}_{digest}"
    path = _stored(f"{name}.py", source)
    spec = importlib.util.spec_from_file_location(f"schuss_kernel_{name}", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"cannot load the kernel {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where the compiler's cache looks it up
    spec.loader.exec_module(module)
    return Kernel(module.kernel, tuple(places(program)), 8 if real == "float64" else 4, path)


def cache_directory() -> Path:
    """Return where kernels are kept: `SCHUSS_CACHE_DIR`, else in the user's cache directory."""
    chosen = os.environ.get("SCHUSS_CACHE_DIR")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "schuss"


def _stored(name: str, source: str) -> Path:
    """Return a file that holds exactly `source`: in the cache, if that can be written."""
    directory = cache_directory() / "kernels"
    try:
        if (directory / name).read_text(encoding="utf-8") == source:
            return directory / name
    except (OSError, UnicodeDecodeError):
        pass  # not there, or damaged
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return _written(directory / name, source)
    except OSError:
        return _written(Path(tempfile.mkdtemp(prefix="schuss-")) / name, source)


def _written(path: Path, source: str) -> Path:
    """Write a file so that other processes see all of it or nothing."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8"
    ) as file:
        file.write(source)
    Path(file.name).replace(path)
    return path
