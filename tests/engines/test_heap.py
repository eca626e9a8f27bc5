"""Memory that a step frees and the next one takes again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch

import schuss
from schuss.engines.allocations import Allocations
from schuss.engines.foreach.batch import ForeachBatch
from schuss.engines.heap import hold_freed_memory

MAPPED = """
import ctypes
import torch
from schuss.engines.heap import hold_freed_memory

class Information(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_int) for name in names.split()]

mallinfo = ctypes.CDLL(None).mallinfo
mallinfo.restype = Information

hold_freed_memory()
before = mallinfo().hblks
block = torch.empty(15 << 20, dtype=torch.uint8)
print(mallinfo().hblks - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the C library of GNU alone")
def test_blocks_come_from_the_heap_and_not_from_the_system():
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC", "GLIBC", "LD_"))}
    ran = subprocess.run(
        [sys.executable, "-c", MAPPED], env=environ, capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) == 0  # a block of the system is given back as soon as it is freed


def test_steps_on_lists_ask_for_that_too():
    hold_freed_memory.cache_clear()
    param = torch.nn.Parameter(torch.ones(4))
    optimizer = schuss.AdamW([param], foreach=True)
    for _ in range(2):
        param.grad = torch.ones(4)
        optimizer.step()
    assert any(isinstance(bound, ForeachBatch) for bound in optimizer._engine._known.bound())
    assert hold_freed_memory.cache_info().currsize == 1


def test_no_mode_that_counts_tensors_sees_it():
    hold_freed_memory.cache_clear()
    with Allocations() as allocations:
        hold_freed_memory()
    assert allocations.peak == 0
