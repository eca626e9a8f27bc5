"""Memory that a step frees and the next one takes again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch

import schuss
from schuss.engines.foreach.batch import ForeachBatch
from schuss.engines.heap import hold_freed_memory

FAULTS = """
import resource
import torch
from schuss.engines.heap import hold_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    stacks = [torch.zeros(1 << 20, dtype=torch.uint8) for _ in range(10)]
    del stacks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = [faults() for _ in range(4)]
hold_freed_memory()
print(first[-1], [faults() for _ in range(4)][-1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the C library of GNU alone")
def test_pages_of_stacks_are_taken_from_the_system_once():
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC", "GLIBC", "LD_"))}
    ran = subprocess.run(
        [sys.executable, "-c", FAULTS], env=environ, capture_output=True, text=True, check=True
    )
    before, after = map(int, ran.stdout.split())
    assert after < 100 < before


def test_steps_on_lists_ask_for_that_too():
    hold_freed_memory.cache_clear()
    param = torch.nn.Parameter(torch.ones(4))
    optimizer = schuss.AdamW([param], foreach=True)
    for _ in range(2):
        param.grad = torch.ones(4)
        optimizer.step()
    assert any(isinstance(bound, ForeachBatch) for bound in optimizer._engine._known.bound())
    assert hold_freed_memory.cache_info().currsize == 1
