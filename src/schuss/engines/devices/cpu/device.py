"""The CPU as a device: kernels are Python for Numba, and threads of torch share their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from schuss.engines.devices.cpu import threads
from schuss.engines.devices.cpu.compiled import functions
from schuss.engines.devices.cpu.launch import Launch
from schuss.engines.devices.cpu.printing.module import kernel_source
from schuss.engines.devices.cpu.run import Run
from schuss.engines.devices.device import Device, Kernel, Resources, Tensors
from schuss.engines.program.program import Program
from schuss.storage.kinds import Kinds


class OnCPU:
    """The CPU."""

    keeps_numbers = False

    def kernel(self, program: Program, kinds: Kinds) -> Kernel:
        """Print and compile a program."""
        source = kernel_source(program, kinds)
        names = [each.name for each in source.passes] + ([source.closing] if source.closing else [])
        path, addresses = self.compiled(f"step_{kinds.real}", source.text, names)
        passes = tuple(addresses[: len(source.passes)])
        return Kernel(self, source, path, passes, addresses[-1] if source.closing else None)

    def compiled(self, kind: str, text: str, names: Sequence[str]) -> tuple[Path | None, list[int]]:
        """Return the file of a module, if it could be kept, and the addresses of its functions.

        Args:
            kind: The beginning of the names of its files.
            text: The module.
            names: Its functions.
        """
        return functions(kind, text, names)

    def threads(self) -> int:
        """Return how many threads may share the entries of a table."""
        return threads.available()

    def launch(self, kernel: Kernel, tensors: Tensors) -> Launch:
        """Return a kernel, ready to be launched for the parameters of a cohort."""
        return Launch(kernel, tensors, self.threads)

    def run(self, launches: Sequence[Launch]) -> Run:
        """Return a run of kernels that have been prepared."""
        return Run(launches)

    def resources(self, kernel: Kernel) -> Mapping[str, Resources]:
        """Return nothing: a compiler for a CPU shares registers out within a function."""
        return {}


CPU: Final[Device] = OnCPU()
