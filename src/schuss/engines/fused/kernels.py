"""Kernels: printed, compiled, and kept on disk.

A kernel's source is a readable file, named by a hash of what it says and of what compiles it. The
machine code of each of its functions lies beside it, with a digest of its own, so that a new
process needs no compiler. A file that does not say what it should is made anew, and never run.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import NamedTuple

from schuss.engines.fused import cache as files
from schuss.engines.fused import machine
from schuss.engines.fused.printer import KernelSource, kernel_source
from schuss.engines.fused.storage import Storage
from schuss.engines.tracing.program import Program

_lock = threading.Lock()


class Kernel(NamedTuple):
    """A compiled program.

    Attributes:
        source: Its source.
        path: The file with its text.
        passes: Addresses of the functions that go through the tensors, in order.
        closing: Address of the function that comes last, once for each tensor, or None.
    """

    source: KernelSource
    path: Path
    passes: tuple[int, ...]
    closing: int | None


@cache
def kernel(title: str, program: Program, storage: Storage) -> Kernel:
    """Return the compiled kernel of a program.

    Args:
        title: Name of the optimizer that it is of.
        program: The program.
        storage: How the numbers are kept.
    """
    source = kernel_source(title, program, storage)
    names = [each.name for each in source.passes] + ([source.closing] if source.closing else [])
    with _lock:
        path, code = files.stored(f"{title.lower()}_{storage.real}", source.text, names)
        addresses = [machine.loaded(code[name]) for name in names]
    passes = tuple(addresses[: len(source.passes)])
    return Kernel(source, path, passes, addresses[-1] if source.closing else None)
