"""Kernels agree with the loop on the device, and give the same bits twice."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.algorithms import TRACED
from tests.conformance.trajectories import REAL_ONLY, TOLERANCE, distance
from tests.covers import combinations
from tests.engines.devices.gpu import paths
from tests.engines.devices.gpu.options import OPTIONS, PLAIN, TRANSFORMED, fits
from tests.gpu.machine import Machine
from tests.gpu.notes import Notes

SHAPES = ((5, 3), (7,), (), (2, 3, 4, 4), (1, 1), (4096,), (513, 1027), (12_301,), (0, 3))
"""Among them whole chunks, and a matrix whose rows begin anywhere."""

STEPS = 16

DTYPES = (torch.float32, torch.bfloat16, torch.float64, torch.float16, torch.complex64)

ASKED = [option for option in OPTIONS if option != TRANSFORMED]
"""Not every optimizer has an update that can be changed."""


def _can_be(name: str, dtype: torch.dtype, option: str) -> bool:
    if dtype.is_complex and name in REAL_ONLY:
        return False
    return fits(option, dtype)


def agreement(machine: Machine, notes: Notes) -> None:
    """Compare every optimizer with itself on the loop: in all dtypes, and with all options."""
    cases = combinations(TRACED, DTYPES, ASKED, where=_can_be, exhaustive=False)
    for name, dtype, option in machine.share(cases):
        case = f"{name}, {dtype}, {option}".replace("torch.", "")
        if machine.is_late:
            return notes.note(case, ok=None, told="no time was left")
        with notes.failing_softly(case):
            found = _path(machine, name, dtype, option, fused=True)
            apart = distance(found, _path(machine, name, dtype, option, foreach=False))
            notes.note(case, ok=apart <= TOLERANCE[dtype], value=apart)
    return None


def twice(machine: Machine, notes: Notes) -> None:
    """Train every optimizer twice, and compare all bits."""
    for name in machine.share(TRACED):
        if machine.is_late:
            return notes.note(name, ok=None, told="no time was left")
        with notes.failing_softly(name):
            ends = [_path(machine, name, torch.float32, PLAIN, fused=True)[-1] for _ in range(2)]
            notes.note(name, ok=torch.equal(ends[0], ends[1]))
    return None


def _path(
    machine: Machine, name: str, dtype: torch.dtype, option: str, **engine: bool
) -> list[Tensor]:
    shapes, steps = (paths.SHAPES, 4) if machine.rehearses else (SHAPES, STEPS)
    return paths.path(name, dtype, option, machine.device, shapes, steps, **engine)
