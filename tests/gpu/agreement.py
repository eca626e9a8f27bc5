"""Kernels agree with the loop on the device, and give the same bits twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from itertools import product
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from tests.algorithms import TRACED
from tests.conformance.trajectories import REAL_ONLY, TOLERANCE, distance
from tests.covers import combinations
from tests.engines.devices.gpu import coded, paths
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
    cases = _each_once_first(combinations(TRACED, DTYPES, ASKED, where=_can_be, exhaustive=False))
    for name, dtype, option in machine.share(cases):
        case = f"{name}, {dtype}, {option}".replace("torch.", "")
        if machine.is_late:
            return notes.note(case, ok=None, told="no time was left")
        with notes.failing_softly(case):
            found = _path(machine, name, dtype, option, fused=True)
            apart = distance(found, _path(machine, name, dtype, option, foreach=False))
            notes.note(case, ok=apart <= TOLERANCE[dtype], value=apart)
    return None


def _each_once_first(cases: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return cases in an order in which no optimizer comes again before all others have come."""
    so_far: Counter[str] = Counter()
    turns = []
    for case in cases:
        turns.append((so_far[case[0]], case))
        so_far[case[0]] += 1
    return [case for _, case in sorted(turns, key=itemgetter(0))]


CODED = (
    *(("adamw", storage, {}) for storage in ("bf16", "8bit", "4bit")),
    ("adamw", {"exp_avg": "dynamic8", "exp_avg_sq": "udynamic8"}, {}),
    ("adamw", {"exp_avg": "fp8_e4m3", "exp_avg_sq": "fp8_e5m2"}, {}),
    ("adamw", {"exp_avg": "flash_int8", "exp_avg_sq": "flash_uint8"}, {}),
    ("adamw", "8bit", {"master_weights": True}),
    *(("lion", storage, {}) for storage in ("8bit", "4bit")),
    *(("sgd", storage, {"momentum": 0.9}) for storage in ("8bit", "4bit")),
    *(("lamb", storage, {}) for storage in ("8bit", "4bit")),
)
"""Optimizers, how they keep their state, and other options."""


def codes(machine: Machine, notes: Notes) -> None:
    """Compare state that is kept as codes with that of the loop, in float32 and bfloat16."""
    sizes = (257, 1032) if machine.rehearses else (4096, 4999, 12_301, 1 << 20)
    for (name, storage, options), dtype in machine.share([*product(CODED, DTYPES[:2])]):
        case = f"{name}, {storage}, {options}, {dtype}".replace("torch.", "")
        if machine.is_late:
            return notes.note(case, ok=None, told="no time was left")
        with notes.failing_softly(case), machine.keeping_codes():
            compare = partial(coded.codes_apart, name, storage, sizes, dtype, machine.device)
            notes.note(case, ok=True, value=compare(**options))
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
