"""The seam between kernels and a device: everything about kernels that differs on another one.

To bring kernels to a new device is to write a class that has what `Device` has, and to name it in
`device_for`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Tensor

from schuss.engines.errors import NoDeviceKernelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from schuss.engines.devices.layout import KernelSource
    from schuss.engines.program.program import Place, Program
    from schuss.storage.kinds import Kinds


class Kernel(NamedTuple):
    """A compiled program.

    Attributes:
        device: The device that runs it.
        source: Its source.
        path: The file with its text; None if no file could be kept.
        passes: The functions that go through the tensors, in order, as the device calls them.
        closing: The function that comes last, once for each tensor, or None.
    """

    device: Device
    source: KernelSource
    path: Path | None
    passes: tuple[Any, ...]
    closing: Any


class Resources(NamedTuple):
    """The registers that a compiled function takes: few let more threads run at once.

    Attributes:
        registers: How many each thread has.
        spilled: How many numbers of 32 bits of each thread did not fit, and lie in memory.
    """

    registers: int
    spilled: int


class Numbers(NamedTuple):
    """The numbers of a launch that another kernel computes first, for each parameter its own.

    Attributes:
        kernel: This kernel; see `program.computed`.
        arguments: The numbers of its program.
        states: For each place of numbers of the states, where that of each parameter is.
        shared: The tensors of numbers that all parameters share, by the names of their places.
        found_by: The launch before which they were computed, an earlier one of the same step; None
            if they have yet to be computed.
    """

    kernel: Kernel
    arguments: Sequence[float]
    states: Mapping[str, NDArray[np.int64]]
    shared: Mapping[str, Tensor]
    found_by: Launch | None = None


class Launch(Protocol):
    """A kernel and the parameters of a cohort, ready to be launched in every step.

    Attributes:
        addresses: For each of the kernel's columns, where the numbers of each parameter begin.
        new_places: The columns of places that there are no tensors for yet.
    """

    addresses: NDArray[np.int64]
    new_places: list[tuple[int, Place]]

    @property
    def kernel(self) -> Kernel:
        """The kernel."""

    def prepare(
        self,
        grads: NDArray[np.int64],
        indices: NDArray[np.int64] | None,
        arguments: Sequence[float] | NDArray[np.float64],
        which: NDArray[np.int64] | None,
        on_device: Sequence[tuple[int, int, Tensor]] = (),
        numbers: Numbers | None = None,
    ) -> None:
        """Say what the next run is to do.

        Args:
            grads: Where the gradients of all parameters begin.
            indices: The parameters whose turn it is; None for all.
            arguments: The numbers of the program: one set, or a table of several.
            which: The set of each of these parameters; None if there is only one.
            on_device: Numbers that are on the device: of which set, which number, and the tensor.
            numbers: The computation of all of them on the device; None if the host knows them.
        """


class Run(Protocol):
    """The kernels of one step."""

    @property
    def launches(self) -> Sequence[Launch]:
        """The launches, in order."""

    @property
    def is_done(self) -> bool:
        """Whether all of them have run since `begin`."""

    def begin(self) -> None:
        """Note that they are yet to run."""

    def take(self, skip: Tensor | None = None) -> bool:
        """Run them, and tell whether that has raised the versions of what they write to.

        Args:
            skip: A number on their device that is not 0 if they are to change nothing, or None.
        """


class Tensors(NamedTuple):
    """The facts of the tensors of a cohort that a launch needs.

    Attributes:
        device: Where they are.
        counts: How many numbers each parameter has.
        sizes: How many matrices, rows and columns, if the kernel sees these.
        versions: For each place that the kernel writes to, the addresses of the versions of its
            tensors, 0 for none.
        is_capturable: A graph may capture the launch.
        runs: How often it is run in a step, at most.
    """

    device: torch.device
    counts: Sequence[int]
    sizes: Sequence[tuple[int, int, int]] = ()
    versions: Sequence[Sequence[int]] = ()
    is_capturable: bool = False
    runs: int = 1


class Device(Protocol):
    """A kind of device.

    Attributes:
        keeps_numbers: A number that it has computed may stay there: to read it is to wait.
    """

    keeps_numbers: bool

    def __hash__(self) -> int:
        """Return a hash: kernels are kept by device."""

    def kernel(self, program: Program, kinds: Kinds) -> Kernel:
        """Print and compile a program.

        Args:
            program: The program.
            kinds: How the numbers are stored.

        Raises:
            UnfusableError: Kernels of this device do not read numbers that are stored so.
        """

    def launch(self, kernel: Kernel, tensors: Tensors) -> Launch:
        """Return a kernel of this device, ready to be launched for the parameters of a cohort."""

    def run(self, launches: Sequence[Any]) -> Run:
        """Return a run of kernels that have been prepared."""

    def resources(self, kernel: Kernel) -> Mapping[str, Resources]:
        """Return the resources of the functions of a kernel by name, of those that are known."""


def _cpu() -> Device:
    from schuss.engines.devices.cpu.device import CPU

    return CPU


def _gpu() -> Device:
    from schuss.engines.devices.gpu.device import GPU

    return GPU


LOADERS: dict[str, Callable[[], Device]] = {"cpu": _cpu, "cuda": _gpu, "xpu": _gpu}
"""For each type of device, what imports its kernels. AMD's GPUs are of type `cuda` too."""


_absent: dict[str, str] = {}
"""Why kernels of a type of device could not be imported."""


def device_for(device: torch.device) -> Device:
    """Return what runs kernels on a device.

    Raises:
        NoDeviceKernelError: Nothing does.
    """
    load = LOADERS.get(device.type)
    if load is None:
        raise NoDeviceKernelError(device, _absent.get(device.type, ""))
    try:
        return load()
    except ImportError as error:  # Triton does not exist for every system
        del LOADERS[device.type]  # to look for it again would take time in every step
        _absent[device.type] = str(error)
        raise NoDeviceKernelError(device, str(error)) from None


def keeps_numbers(device: torch.device) -> bool:
    """Tell whether a number that a device has computed may stay there; see `Device`."""
    try:
        return device_for(device).keeps_numbers
    except NoDeviceKernelError:
        return False
