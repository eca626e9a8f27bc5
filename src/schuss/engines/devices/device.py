"""The seam between kernels and a device: everything about kernels that differs on another one.

To bring kernels to a new device is to write a class that has what `Device` has, and to name it in
`device_for`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

from schuss.engines.errors import NoDeviceKernelError

if TYPE_CHECKING:
    from schuss.engines.kernels.launch import Launch


class Accumulation(NamedTuple):
    """How a reduction is computed, number by number.

    Attributes:
        start: Its value for no numbers, as source.
        more: It with one number more: `{0}` so far, `{1}` the number, both float64.
    """

    start: str
    more: str


class Told(Protocol):
    """The data that a device keeps of a launch, from step to step."""

    def shared_by(self, threads: int) -> None:
        """Tell on how many threads the next runs go."""


class Run(Protocol):
    """The kernels of one step.

    Attributes:
        launches: The launches, in order.
    """

    launches: Sequence[Launch]

    @property
    def is_done(self) -> bool:
        """Whether all of them have run since `begin`."""

    def begin(self) -> None:
        """Note that they are yet to run."""

    def take(self) -> bool:
        """Run them, and tell whether that has raised the versions of what they write to."""


class Device(Protocol):
    """A kind of device.

    Attributes:
        expressions: For each operation of a program its source; `{0}` is the first operand.
        accumulations: For each reduction its source.
    """

    expressions: Mapping[str, str]
    accumulations: Mapping[str, Accumulation]

    def __hash__(self) -> int:
        """Return a hash: kernels are kept by device."""

    def module(self, real: str) -> str:
        """Print the beginning of a module that computes in a precision."""

    def function(self, name: str, does: str, body: Iterable[str]) -> str:
        """Print a function of a module: its name, a sentence on what it does, its lines."""

    def loaded(self, kind: str, base: str, index: str) -> str:
        """Print how a number is read that is stored in some kind."""

    def stored(self, kind: str, base: str, index: str, number: str) -> str:
        """Print how a number is written that is to be stored in some kind."""

    def compiled(self, kind: str, text: str, names: Sequence[str]) -> tuple[Path | None, list[int]]:
        """Return the file of a module, if it could be kept, and the addresses of its functions.

        Args:
            kind: The beginning of the names of its files.
            text: The module.
            names: Its functions.
        """

    def threads(self) -> int:
        """Return how many threads may share the entries of a table."""

    def told(self, launch: Launch) -> Told:
        """Return what `run` is to know of a launch, from step to step."""

    def run(self, launches: Sequence[Launch]) -> Run:
        """Return a run of kernels that have been prepared."""


def device_for(device: torch.device) -> Device:
    """Return what runs kernels on a device.

    Raises:
        NoDeviceKernelError: Nothing does.
    """
    if device.type != "cpu":
        raise NoDeviceKernelError(device)
    from schuss.engines.devices.cpu.device import CPU

    return CPU
