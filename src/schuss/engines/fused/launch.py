"""Launching a kernel: a table of chunks, divided among threads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from schuss.engines.fused.kernels import Kernel

CHUNK = 1 << 14
"""Numbers in a row: 64 KiB of float32, so that the arrays of a row fit into a core's cache."""

ALONE = 1 << 20
"""Numbers that one thread steps in less time than it takes to wake another."""


def launch(
    kernel: Kernel,
    counts: tuple[int, ...],
    columns: Sequence[NDArray[np.int64]],
    arguments: Sequence[float],
) -> None:
    """Run a kernel over the parameters of a cohort.

    Args:
        kernel: The kernel.
        counts: How many real numbers each parameter has.
        columns: For each place of the kernel, where the numbers of each parameter begin.
        arguments: The numbers that the kernel takes.
    """
    owner, offset, length = _chunks(counts)
    table = np.empty((len(owner), 1 + len(columns)), dtype=np.int64)
    table[:, 0] = length
    for number, addresses in enumerate(columns, start=1):
        table[:, number] = addresses[owner] + offset * kernel.itemsize
    _run(kernel, table, np.array(arguments, dtype=np.float64), int(length.sum()))


def _run(
    kernel: Kernel, table: NDArray[np.int64], numbers: NDArray[np.float64], total: int
) -> None:
    threads = min(torch.get_num_threads(), len(table)) if total > ALONE else 1
    if threads <= 1:
        kernel.function(table, numbers, 0, len(table))
        return
    cuts = [len(table) * thread // threads for thread in range(threads + 1)]
    pool = _pool(threads - 1, os.getpid())
    others = [pool.submit(kernel.function, table, numbers, *part) for part in pairwise(cuts[1:])]
    try:
        kernel.function(table, numbers, 0, cuts[1])
    finally:
        wait(others)
    for other in others:
        other.result()


@lru_cache(maxsize=256)
def _chunks(counts: tuple[int, ...]) -> tuple[NDArray[np.int64], ...]:
    """Return, for each row, whose it is, at which number it begins, and how many it has."""
    sizes = np.array(counts, dtype=np.int64)
    rows = -(-sizes // CHUNK)
    owner = np.repeat(np.arange(len(sizes)), rows)
    first_row = np.cumsum(rows) - rows
    offset = (np.arange(len(owner)) - first_row[owner]) * CHUNK
    return owner, offset, np.minimum(sizes[owner] - offset, CHUNK)


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return helper threads. A forked process gets its own: threads do not survive a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix="schuss")
