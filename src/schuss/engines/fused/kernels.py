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
from schuss.engines.fused.printer import kernel_source
from schuss.engines.fused.storage import Storage
from schuss.engines.tracing.program import Place, Program

_lock = threading.Lock()


class Kernel(NamedTuple):
    """A compiled program.

    Attributes:
        passes: Addresses of the functions that go through the elements, in order.
        closing: Address of the function that comes last, once for each tensor, or None.
        reductions: For each pass, the reductions that it makes parts of.
        columns: The places whose addresses it takes, in this order.
        source: Its source.
        path: The file with the source.
    """

    passes: tuple[int, ...]
    closing: int | None
    reductions: tuple[tuple[str, ...], ...]
    columns: tuple[Place, ...]
    source: str
    path: Path


@cache
def kernel(title: str, program: Program, storage: Storage) -> Kernel:
    """Return the compiled kernel of a program.

    Args:
        title: Name of the optimizer that it is of.
        program: The program.
        storage: How the numbers are kept.
    """
    source = kernel_source(title, program, storage)
    names = [*source.passes, *filter(None, [source.closing])]
    with _lock:
        path, code = files.stored(f"{title.lower()}_{storage.real}", source.text, names)
        addresses = [machine.loaded(code[name]) for name in names]
    return Kernel(
        tuple(addresses[: len(source.passes)]),
        addresses[-1] if source.closing else None,
        source.reductions,
        source.columns,
        source.text,
        path,
    )
