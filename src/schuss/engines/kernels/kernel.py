"""Kernels: the compiled programs, each made once in a process.

A kernel is what its program says: its text names no optimizer and no key of a state, so optimizers
with one rule share it, in memory and on disk.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from schuss.engines.devices.device import Device
from schuss.engines.kernels.printing.module import KernelSource, kernel_source
from schuss.engines.program.program import Program
from schuss.storage.kinds import Kinds


class Kernel(NamedTuple):
    """A compiled program.

    Attributes:
        device: The device that runs it.
        source: Its source.
        path: The file with its text; None if no file could be kept.
        passes: Addresses of the functions that go through the tensors, in order.
        closing: Address of the function that comes last, once for each tensor, or None.
    """

    device: Device
    source: KernelSource
    path: Path | None
    passes: tuple[int, ...]
    closing: int | None


@cache
def kernel(program: Program, kinds: Kinds, device: Device) -> Kernel:
    """Return the compiled kernel of a program.

    Args:
        program: The program.
        kinds: How the numbers are stored.
        device: The device that is to run it.
    """
    source = kernel_source(program, kinds, device)
    names = [each.name for each in source.passes] + ([source.closing] if source.closing else [])
    path, addresses = device.compiled(f"step_{kinds.real}", source.text, names)
    passes = tuple(addresses[: len(source.passes)])
    return Kernel(device, source, path, passes, addresses[-1] if source.closing else None)
