"""The CPU as a device: kernels are Python for Numba, and threads of torch share their tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from schuss.engines.devices.cpu import threads
from schuss.engines.devices.cpu.compiled import functions
from schuss.engines.devices.cpu.expressions import ACCUMULATIONS, EXPRESSIONS
from schuss.engines.devices.cpu.run import Run
from schuss.engines.devices.cpu.told import Told
from schuss.engines.devices.device import Accumulation, Device

if TYPE_CHECKING:
    from schuss.engines.kernels.launch import Launch

_MODULE = '''\
"""A step in {real}."""

import math

import numba
from numpy import {real} as real, float64 as double, int64

from schuss.engines.devices.cpu.functions import *
from schuss.engines.devices.cpu.numbers import *

zero, half, one = real(0), real(0.5), real(1)
'''

_FUNCTION = '''

@numba.cfunc("void(int64)", error_model="numpy", fastmath={{"contract"}})
def {name}(job):
    """{does}"""
    {body}
'''


class _CPU:
    """Has what `Device` asks for."""

    expressions: Mapping[str, str] = EXPRESSIONS
    accumulations: Mapping[str, Accumulation] = ACCUMULATIONS

    def module(self, real: str) -> str:
        return _MODULE.format(real=real)

    def function(self, name: str, does: str, body: Iterable[str]) -> str:
        return _FUNCTION.format(name=name, does=does, body="\n    ".join(body))

    def loaded(self, kind: str, base: str, index: str) -> str:
        return f"load_{kind}({base}, {index})"

    def stored(self, kind: str, base: str, index: str, number: str) -> str:
        return f"store_{kind}({base}, {index}, {number})"

    def compiled(self, kind: str, text: str, names: Sequence[str]) -> tuple[Path | None, list[int]]:
        return functions(kind, text, names)

    def threads(self) -> int:
        return threads.available()

    def told(self, launch: Launch) -> Told:
        return Told(launch)

    def run(self, launches: Sequence[Launch]) -> Run:
        return Run(launches)


CPU: Final[Device] = _CPU()
