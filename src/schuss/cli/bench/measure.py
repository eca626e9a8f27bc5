"""Measuring a case on a workload: which heats there are, and what each of them needs."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from schuss.cli.bench.apart import run_apart
from schuss.cli.bench.cases import Case
from schuss.cli.bench.contenders import OUR_FUSED, TORCH_COMPILE, prepared, yardsticks
from schuss.cli.bench.heats import Heat, Settings, run_heat
from schuss.cli.bench.progress import Progress
from schuss.cli.bench.results import FirstSteps, step_result
from schuss.cli.bench.workloads import Workload

GIB: Final = 1 << 30


def measure(
    case: Case,
    workload: Workload,
    names: Sequence[str],
    settings: Settings,
    progress: Progress,
    *,
    memory: float,
    cold: bool,
) -> dict[str, Any]:
    """Measure the contenders of a case on a workload.

    Args:
        case: The optimizer.
        workload: The workload.
        names: The contenders, with those that all are compared with.
        settings: How to do it.
        progress: Shows how it gets on.
        memory: The memory that the contenders of a heat may fill, in GiB.
        cold: Whether to time first steps in new processes.
    """
    title = f"{case.name}, {workload.title}"
    prepare = partial(prepared, case, workload, settings.device)
    shared = [name for name in names if name != TORCH_COMPILE]
    places = int(memory * GIB / case.footprint(workload.numbers)) - 1  # one for temporaries
    heats = []
    for heat in split(shared, yardsticks(case), places):
        progress.begins(title, len(heat) + settings.rounds)
        heats.append(run_heat(heat, prepare, settings, progress))
    if TORCH_COMPILE in names:
        progress.begins(f"{title}, compiled by torch", 1)
        heats.append(_compiled_heat(case, workload, settings))
    first_steps = {}
    if cold and any(OUR_FUSED in heat.runners for heat in heats):
        progress.begins(f"{title}, in new processes", 1)
        first_steps[OUR_FUSED] = _first_steps(case, workload, settings)
    return step_result(case, workload, heats, first_steps)


def split(names: Sequence[str], everywhere: Sequence[str], places: int) -> list[list[str]]:
    """Share contenders out among heats.

    Not all of them fit into memory at once, if the model is large. Those that the others are
    compared with run in every heat, so that no ratio is between times of different heats.

    Args:
        names: The contenders.
        everywhere: Those that every heat has.
        places: How many fit into a heat; at least one beside those that every heat has is taken.

    Example:
        >>> split(["loop", "foreach", "ours", "floor"], everywhere=["floor"], places=3)
        [['loop', 'foreach', 'floor'], ['ours', 'floor']]
    """
    others = [name for name in names if name not in everywhere]
    fixed = [name for name in names if name in everywhere]
    size = max(1, places - len(fixed))
    parts = [others[at : at + size] for at in range(0, len(others), size)] or [[]]
    return [[*part, *fixed] for part in parts]


def _compiled_heat(case: Case, workload: Workload, settings: Settings) -> Heat:
    """Time torch's compiler apart: its caches, and the memory it leaves, would touch the others."""
    with tempfile.TemporaryDirectory() as empty:
        environment = {"TORCHINDUCTOR_CACHE_DIR": empty}
        names = [TORCH_COMPILE, *yardsticks(case)]
        return run_apart(case, workload, names, settings, environment)


def _first_steps(case: Case, workload: Workload, settings: Settings) -> FirstSteps:
    only_first = replace(settings, rounds=0)
    with tempfile.TemporaryDirectory() as cache:
        cold, cached = (
            run_apart(case, workload, [OUR_FUSED], only_first, {"SCHUSS_CACHE_DIR": cache})
            for _ in ("empty", "filled")
        )
    failure = (cold.left_out | cached.left_out).get(OUR_FUSED)
    return FirstSteps(_first(cold), _first(cached), failure)


def _first(heat: Heat) -> float | None:
    return heat.runners[OUR_FUSED].first_ms if heat.runners else None
