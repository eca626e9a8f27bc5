"""Heats and records with times that were never measured."""

from typing import Any

from schuss.cli.bench.cases import Case
from schuss.cli.bench.heats import Heat, Runner, Settings
from schuss.cli.bench.record import STEP, make_record
from schuss.cli.bench.results import FirstSteps, step_result
from schuss.cli.bench.workloads import WORKLOADS

ADAMW = Case("adamw", states=2)
SETTINGS = Settings(rounds=2, threads=1, block=0.001)


class Silent:
    """Watches without a word, and remembers what began."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int]] = []

    def begins(self, title: str, units: int) -> None:
        self.begun.append((title, units))

    def prepared(self, name: str) -> None:
        pass

    def round_done(self) -> None:
        pass


def heat_of(times: dict[str, list[float]], **left_out: str) -> Heat:
    """Return a heat of times in milliseconds, by contender."""
    runners = {
        name: Runner(first_ms=100.0, rounds_ms=rounds, extra_bytes=1 << 20)
        for name, rounds in times.items()
    }
    return Heat(runners, {name.replace("_", "-"): why for name, why in left_out.items()}, 0.0)


def result_of(heat: Heat, case: Case = ADAMW, workload: str = "mnist") -> dict[str, Any]:
    """Return the result of one heat."""
    first_steps = {"schuss-fused": FirstSteps(cold=1234.0, cached=567.0)}
    return step_result(case, WORKLOADS[workload], [heat], first_steps)


def record_of(*results: dict[str, Any]) -> dict[str, Any]:
    """Return a record of bare steps."""
    return make_record(STEP, "schuss bench step --rounds 2", SETTINGS, results)


HEAT = heat_of(
    {
        "torch-loop": [8.0, 9.0],
        "torch-fused": [2.0, 3.0],
        "schuss-fused": [1.0, 2.0],
        "floor": [0.5, 1.0],
    },
    labml="labml_nn is not installed",
)
