"""`schuss bench optimizers`: a step of every optimizer beside one of AdamW, for the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

from schuss.cli.bench.cases import ADAMW, Case
from schuss.cli.bench.heats import Heat, Settings, run_heat
from schuss.cli.bench.measure import GIB, split
from schuss.cli.bench.progress import Progress
from schuss.cli.bench.results import Spread, over
from schuss.cli.bench.workloads import Workload, parameters
from schuss.registry import create_optimizer


class Traffic(NamedTuple):
    """The memory traffic of a step, in the mean over the numbers of the parameters.

    Attributes:
        passes: How often it goes through the numbers.
        bytes_per_number: Bytes that it reads and writes for each.
        bytes_read: Those of them that it reads.
    """

    passes: int
    bytes_per_number: float
    bytes_read: float


def measure_all(
    cases: Sequence[Case],
    workload: Workload,
    settings: Settings,
    progress: Progress,
    *,
    memory: float,
) -> dict[str, Any]:
    """Time a step of several optimizers on a workload, in turns with AdamW.

    Args:
        cases: The optimizers.
        workload: The workload.
        settings: How to do it.
        progress: Shows how it gets on.
        memory: The memory that the optimizers of a heat may fill, in GiB.
    """
    by_spec = {case.spec: case for case in (*cases, Case(ADAMW, 2))}
    largest = max(case.footprint(workload.numbers) for case in by_spec.values())
    traffic: dict[str, Traffic] = {}
    heats = []
    for names in split(list(by_spec), [ADAMW], int(memory * GIB / largest) - 1):
        progress.begins(f"{len(names)} optimizers, {workload.title}", len(names) + settings.rounds)
        prepare = partial(_step, by_spec, workload, traffic)
        heats.append(run_heat(names, prepare, settings, progress))
    return {
        "workload": {
            "name": workload.name,
            "title": workload.title,
            "tensors": len(workload.shapes),
            "numbers": workload.numbers,
        },
        "optimizers": [_row(spec, heats, traffic) for spec in by_spec if spec in traffic],
        "left_out": {name: why for heat in heats for name, why in heat.left_out.items()},
        "heats": [asdict(heat) for heat in heats],
    }


def _step(
    cases: Mapping[str, Case], workload: Workload, traffic: dict[str, Traffic], spec: str
) -> Callable[[], object]:
    """Return the step of an optimizer on parameters of its own, and note what one moves."""
    case, params = cases[spec], parameters(workload)
    optimizer = create_optimizer(case.name, params, **case.hyperparameters, fused=True)
    optimizer.step()  # some only start in their first
    cohorts = optimizer.explain().cohorts
    moved = sum((cohort.bytes_per_number or 0) * cohort.numbers for cohort in cohorts)
    read = sum((cohort.bytes_read or 0) * cohort.numbers for cohort in cohorts)
    passes = max(cohort.passes or 0 for cohort in cohorts)
    traffic[spec] = Traffic(passes, moved / workload.numbers, read / workload.numbers)
    return optimizer.step


def _row(spec: str, heats: Sequence[Heat], traffic: Mapping[str, Traffic]) -> dict[str, Any]:
    of_adamw, mine = traffic[ADAMW], traffic[spec]
    times = [ms for heat in heats if spec in heat.runners for ms in heat.runners[spec].rounds_ms]
    return {
        "optimizer": spec,
        **mine._asdict(),
        "step_ms": asdict(Spread.of(times)),
        "over_adamw": over(heats, spec, ADAMW),
        "per_byte": over(heats, spec, ADAMW, of_adamw.bytes_per_number / mine.bytes_per_number),
        "per_byte_read": over(heats, spec, ADAMW, of_adamw.bytes_read / mine.bytes_read),
    }
