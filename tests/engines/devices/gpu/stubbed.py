"""A GPU that is not there: kernels are printed for it and launched, but do nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from schuss.engines.devices import device
from schuss.engines.devices.device import Kernel
from schuss.engines.devices.gpu import functions_compiled as functions
from schuss.engines.devices.gpu.device import OnGPU
from schuss.engines.program.program import Program
from schuss.storage.kinds import Kinds


class Launched(NamedTuple):
    """A function of Triton as it was launched.

    Attributes:
        text: The module that it is from.
        name: Its name.
        function: The function.
        constants: What is known when it is compiled.
        warps: How many groups of 32 threads run it.
    """

    text: str
    name: str
    function: Any
    constants: dict[str, Any]
    warps: int


class Nothing:
    """Takes the place of a function of Triton, which is launched as `function[grid](...)`.

    Args:
        text: The module that it is from.
        function: The function.
        launched: Takes each way in which it is launched.
    """

    def __init__(self, text: str, function: Any, launched: list[Launched]) -> None:
        self._text = text
        self._function = function
        self._launched = launched

    def __getitem__(self, grid: object) -> Any:
        return self

    def __call__(self, *args: object, num_warps: int, **constants: Any) -> None:
        name = self._function.fn.__name__
        way = Launched(self._text, name, self._function, constants, num_warps)
        if way not in self._launched:
            self._launched.append(way)


class Stubbed(OnGPU):
    """A GPU whose kernels are printed, and do nothing.

    Attributes:
        launched: Their functions, as they were launched.
    """

    def __init__(self) -> None:
        self.launched: list[Launched] = []

    def kernel(self, program: Program, kinds: Kinds) -> Kernel:
        found = super().kernel(program, kinds)
        passes = tuple(self.nothing(each, found.source.text) for each in found.passes)
        closing = found.closing and self.nothing(found.closing, found.source.text)
        return found._replace(passes=passes, closing=closing)

    def nothing(self, function: Any, text: str = "") -> Nothing:
        """Return what takes the place of a function."""
        return Nothing(text, function, self.launched)


@contextmanager
def stubbed_gpu() -> Iterator[Stubbed]:
    """Step parameters on the CPU as if these were on a GPU, but for the work of kernels."""
    stub = Stubbed()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(device.LOADERS, "cpu", lambda: stub)
        for name in ("join", "put"):
            patch.setattr(functions, name, stub.nothing(getattr(functions, name)))
        yield stub
