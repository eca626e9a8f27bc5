"""A GPU as a device: kernels are Python for Triton, and blocks of threads share their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from schuss.engines.devices.device import Device, Kernel, Resources, Tensors
from schuss.engines.devices.gpu.calls import RESOURCES
from schuss.engines.devices.gpu.compiled import module
from schuss.engines.devices.gpu.launch import Launch
from schuss.engines.devices.gpu.printing.module import kernel_source
from schuss.engines.devices.gpu.run import Run
from schuss.engines.program.program import Program
from schuss.storage.kinds import Kinds


class OnGPU:
    """A GPU that Triton compiles for."""

    keeps_numbers = True

    def kernel(self, program: Program, kinds: Kinds) -> Kernel:
        """Print a program; it is compiled when it is launched first."""
        source = kernel_source(program, kinds)
        path, names = module(f"gpu_{kinds.real}", source.text)
        passes = tuple(names[each.name] for each in source.passes)
        return Kernel(self, source, path, passes, names.get("closing"))

    def launch(self, kernel: Kernel, tensors: Tensors) -> Launch:
        """Return a kernel, ready to be launched for the parameters of a cohort."""
        return Launch(kernel, tensors)

    def run(self, launches: Sequence[Launch]) -> Run:
        """Return a run of kernels that have been prepared."""
        return Run(launches)

    def resources(self, kernel: Kernel) -> Mapping[str, Resources]:
        """Return the resources of functions that have been compiled."""
        names = [each.name for each in kernel.source.passes]
        functions = [*zip(names, kernel.passes, strict=True), ("closing", kernel.closing)]
        return {name: RESOURCES[id(made)] for name, made in functions if id(made) in RESOURCES}


GPU: Final[Device] = OnGPU()
