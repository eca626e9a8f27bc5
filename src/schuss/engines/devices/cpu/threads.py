"""Running a kernel on several threads: those of torch, where they can be had.

torch's own operations run on the threads of an OpenMP library, which is loaded with it. A kernel
borrows them through the entry that compilers call, so that no second pool of threads stands beside
the first and takes its cores. Where there is no such entry, plain Python threads do.
"""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

import torch


class _Process:
    """Whether this is a forked process: threads do not survive a fork, and their pools hang."""

    forked = False


def _after_fork() -> None:
    _Process.forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def available() -> int:
    """Return how many threads a kernel may run on."""
    return 1 if _Process.forked else torch.get_num_threads()


def run(function: int, job: int, threads: int) -> None:
    """Call a kernel's function on several threads at once, this one among them.

    Args:
        function: Its address. The threads share the work out among themselves.
        job: Its argument, an address.
        threads: How many.
    """
    kernel = _callable(function)
    if threads <= 1:
        kernel(job)
        return
    parallel = _openmp()
    if parallel is not None:
        parallel(function, job, threads, 0)
        return
    others = [_pool().submit(kernel, job) for _ in range(threads - 1)]
    kernel(job)
    wait(others)


def parallel_entry() -> int | None:
    """Return the address of the entry that compilers call, or None if there is none."""
    entry = _openmp()
    return None if entry is None else ctypes.cast(entry, ctypes.c_void_p).value


@cache
def _callable(function: int) -> ctypes._FuncPointer:
    return ctypes.CFUNCTYPE(None, ctypes.c_int64)(function)


@cache
def _openmp() -> ctypes._FuncPointer | None:
    """Return `GOMP_parallel(function, argument, threads, flags)` of the library that torch uses."""
    try:
        # A symbol is looked for in a library and then in those that it was linked with.
        entry = ctypes.CDLL(torch._C.__file__).GOMP_parallel
    except (OSError, AttributeError):
        return None
    entry.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    entry.restype = None
    return entry


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="schuss")
