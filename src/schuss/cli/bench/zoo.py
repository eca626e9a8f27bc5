"""`schuss bench optimizers`: a step of every optimizer beside one of AdamW, for the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from schuss.cli.bench.cases import ADAMW, Case
from schuss.cli.bench.contenders import NotAvailableError
from schuss.cli.bench.heats import Heat, Settings, run_heat
from schuss.cli.bench.measure import GIB, split
from schuss.cli.bench.progress import Progress
from schuss.cli.bench.results import Spread, over
from schuss.cli.bench.workloads import Workload, parameters
from schuss.optimizer import Optimizer
from schuss.registry import create_optimizer
from schuss.storage.codecs import Encoded
from schuss.storage.precision import HALF


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


class Subjects(NamedTuple):
    """The optimizers that are timed in turns with AdamW.

    Attributes:
        cases: The optimizers.
        workload: The parameters that they step.
        storage: The preset by which all of them keep their state, AdamW too, or None.
    """

    cases: Sequence[Case]
    workload: Workload
    storage: str | None = None

    @property
    def title(self) -> str:
        """Their workload and their storage in prose."""
        kept = f", state kept as {self.storage}" if self.storage else ""
        return f"{self.workload.title}{kept}"


def measure_all(
    subjects: Subjects, settings: Settings, progress: Progress, *, memory: float
) -> dict[str, Any]:
    """Time a step of several optimizers on a workload, in turns with AdamW.

    Args:
        subjects: The optimizers.
        settings: How to do it.
        progress: Shows how it gets on.
        memory: The memory that the optimizers of a heat may fill, in GiB.
    """
    workload = subjects.workload
    by_spec = {case.spec: case for case in (*subjects.cases, Case(ADAMW, 2))}
    largest = max(case.footprint(workload.numbers) for case in by_spec.values())
    traffic: dict[str, Traffic] = {}
    heats = []
    for names in split(list(by_spec), [ADAMW], int(memory * GIB / largest) - 1):
        progress.begins(f"{len(names)} optimizers, {subjects.title}", len(names) + settings.rounds)
        prepare = partial(_step, by_spec, subjects, traffic)
        heats.append(run_heat(names, prepare, settings, progress))
    return {
        "workload": {
            "name": workload.name,
            "title": subjects.title,
            "tensors": len(workload.shapes),
            "numbers": workload.numbers,
        },
        "optimizers": [_row(spec, heats, traffic) for spec in by_spec if spec in traffic],
        "left_out": {name: why for heat in heats for name, why in heat.left_out.items()},
        "heats": [asdict(heat) for heat in heats],
    }


def _step(
    cases: Mapping[str, Case], subjects: Subjects, traffic: dict[str, Traffic], spec: str
) -> Callable[[], object]:
    """Return the step of an optimizer on parameters of its own, and note what one moves."""
    case, params = cases[spec], parameters(subjects.workload)
    options = {**case.hyperparameters, "fused": True, "state_storage": subjects.storage}
    optimizer = create_optimizer(case.name, params, **options)
    optimizer.step()  # some only start in their first
    if subjects.storage is not None:
        optimizer.step()  # before which state that the first has made is encoded
        if not _keeps_less(optimizer):
            raise NotAvailableError(f"{subjects.storage} changes nothing of its state")
    cohorts = optimizer.explain().cohorts
    moved = sum((cohort.bytes_per_number or 0) * cohort.numbers for cohort in cohorts)
    read = sum((cohort.bytes_read or 0) * cohort.numbers for cohort in cohorts)
    passes = max(cohort.passes or 0 for cohort in cohorts)
    numbers = subjects.workload.numbers
    traffic[spec] = Traffic(passes, moved / numbers, read / numbers)
    return optimizer.step


def _keeps_less(optimizer: Optimizer) -> bool:
    """Tell whether some state takes fewer bytes than its parameter."""
    return any(
        isinstance(value, Encoded) or value.dtype in HALF
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    )


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
