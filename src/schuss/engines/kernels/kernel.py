"""Kernels: the compiled programs, each made once in a process.

A kernel is what its program says: its text names no optimizer and no key of a state, so optimizers
with one rule share it, in memory and on disk.
"""

from __future__ import annotations

from functools import cache

from schuss.engines.devices.device import Device, Kernel
from schuss.engines.program.program import Program
from schuss.storage.kinds import Kinds


@cache
def kernel(program: Program, kinds: Kinds, device: Device) -> Kernel:
    """Return the compiled kernel of a program.

    Args:
        program: The program.
        kinds: How the numbers are stored.
        device: The device that is to run it.
    """
    return device.kernel(program, kinds)
