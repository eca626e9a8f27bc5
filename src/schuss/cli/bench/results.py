"""The results of a benchmark, from the times of heats: medians, and ratios within a round."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from schuss.cli.bench.cases import ADAMW, Case
from schuss.cli.bench.contenders import (
    CONTENDERS,
    FLOOR,
    OUR_CHAIN,
    TORCH_CHAIN,
    TORCH_FUSED,
    our_adamw,
)
from schuss.cli.bench.heats import Heat, Runner
from schuss.cli.bench.workloads import Workload

_ADAMW_STATES = 2


@dataclass(frozen=True)
class Spread:
    """The middle of some values, and its surroundings.

    Attributes:
        median: The median.
        low: The lower quartile.
        high: The upper quartile.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of one value or more.

        Example:
            >>> Spread.of([1.0, 2.0, 3.0, 4.0, 9.0])
            Spread(median=3.0, low=2.0, high=4.0)
        """
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True)
class FirstSteps:
    """How long the first step takes in a new process, in milliseconds.

    Attributes:
        cold: With an empty cache of kernels.
        cached: With the kernel in the cache.
        failure: Why one of them is missing, if it is.
    """

    cold: float | None
    cached: float | None
    failure: str | None = None


def ratios(heats: Iterable[Heat], name: str, other: str) -> list[float]:
    """Return the times of a contender over those of another in the same heat and round."""
    return [
        mine / theirs
        for heat in heats
        if name in heat.runners and other in heat.runners
        for mine, theirs in zip(
            heat.runners[name].rounds_ms, heat.runners[other].rounds_ms, strict=True
        )
    ]


def over(heats: Sequence[Heat], name: str, other: str, scale: float = 1.0) -> dict[str, Any] | None:
    """Return the spread of the ratios to another contender, times `scale`, if there are any."""
    found = [scale * ratio for ratio in ratios(heats, name, other)]
    return asdict(Spread.of(found)) if found else None


def step_result(
    case: Case, workload: Workload, heats: Sequence[Heat], first_steps: Mapping[str, FirstSteps]
) -> dict[str, Any]:
    """Return what a case came to on a workload.

    Args:
        case: The optimizer.
        workload: The workload.
        heats: Its heats; contenders that all are compared with are in each.
        first_steps: Those in new processes, by the name of the contender.
    """
    moved = case.bytes(workload.numbers)
    adamw_moved = Case(ADAMW, _ADAMW_STATES).bytes(workload.numbers)
    rows = []
    for name in _present(heats):
        row = _row(name, heats)
        per_byte = 1.0 if name == our_adamw(case) else adamw_moved / moved
        row["over_floor"] = over(heats, name, FLOOR)
        row["over_our_adamw_per_byte"] = over(heats, name, our_adamw(case), per_byte)
        row["new_process"] = asdict(first_steps[name]) if name in first_steps else None
        rows.append(row)
    floor_ms = [row["step_ms"]["median"] for row in rows if row["name"] == FLOOR]
    return {
        "optimizer": case.spec,
        "states": case.states,
        "bytes": moved,
        "workload": _about(workload.name, workload.title)
        | {"tensors": len(workload.shapes), "numbers": workload.numbers},
        "chain_over_ours": over(heats, TORCH_CHAIN, OUR_CHAIN),
        "floor_gb_per_s": moved / floor_ms[0] / 1e6 if floor_ms else None,
        **_outcome(rows, heats),
    }


def loop_result(spec: str, name: str, title: str, numbers: int, heat: Heat) -> dict[str, Any]:
    """Return what training with an optimizer came to.

    Args:
        spec: The optimizer.
        name: The workload.
        title: Its name in prose.
        numbers: How many numbers its parameters have.
        heat: Its heat.
    """
    rows = [_row(runner, [heat]) for runner in _present([heat])]
    about = _about(name, title) | {"numbers": numbers}
    return {"optimizer": spec, "workload": about, **_outcome(rows, [heat])}


def _present(heats: Sequence[Heat]) -> list[str]:
    return [name for name in CONTENDERS if any(name in heat.runners for heat in heats)]


def _about(name: str, title: str) -> dict[str, Any]:
    return {"name": name, "title": title}


def _row(name: str, heats: Sequence[Heat]) -> dict[str, Any]:
    runners = [heat.runners[name] for heat in heats if name in heat.runners]
    return {
        "name": name,
        "title": CONTENDERS[name].title,
        "step_ms": asdict(Spread.of([ms for runner in runners for ms in runner.rounds_ms])),
        "first_step_ms": runners[0].first_ms,
        "extra_bytes": _middle(runners),
        "over_torch_fused": over(heats, name, TORCH_FUSED),
    }


def _middle(runners: Sequence[Runner]) -> float | None:
    known = [runner.extra_bytes for runner in runners if runner.extra_bytes is not None]
    return statistics.median_low(known) if known else None


def _outcome(rows: Sequence[dict[str, Any]], heats: Sequence[Heat]) -> dict[str, Any]:
    """Return the rows, why others are missing, and the times that all of it comes from."""
    present = {row["name"] for row in rows}
    left_out = {
        name: reason
        for heat in heats
        for name, reason in heat.left_out.items()
        if name not in present
    }
    return {"contenders": list(rows), "left_out": left_out, "heats": [asdict(h) for h in heats]}
