"""`schuss bench matrices`: rules of whole matrices, beside other implementations of them.

A *race* is a workload and its contenders, which take turns. The first contender is ours, and the
times of all others are divided by its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, nn

from schuss.cli.bench.contenders import NotAvailableError
from schuss.cli.bench.heats import Heat, Settings, Step, run_heat
from schuss.cli.bench.progress import Progress
from schuss.cli.bench.results import Spread, over
from schuss.cli.bench.workloads import WORKLOADS, Shape, Workload, parameters
from schuss.composite import Composite
from schuss.contract import Group
from schuss.optimizers import SOAP, AdamW, Muon

Params: TypeAlias = Sequence[nn.Parameter]
Moved: TypeAlias = dict[str, float]
"""The bytes that a step moves for each number, by contender, where that is measured."""

OURS: Final = "schuss Muon"
ELEMENTWISE: Final = "schuss Muon, all but the iteration"
FLOOR: Final = "floor"
PERIOD: Final = 10
"""The steps of SOAP from one change of its basis to the next: a turn has all of them."""

_FLOOR_BYTES: Final = 20.0
"""The bytes that the floor moves for each number: it reads the parameter, the gradient and one
buffer, and writes the parameter and the buffer, in float32."""


class Untouched(Muon):
    """Muon without the iteration, to time the rest of it."""

    def orthogonal(self, group: Group, x: Tensor) -> Tensor:
        """Return all columns of the mean, a view of it, in the precision of the products."""
        return x.to(torch.bfloat16).narrow(-1, 0, x.shape[-1]).to(x.dtype)


def _torch_muon(params: Params) -> torch.optim.Optimizer:
    if not hasattr(torch.optim, "Muon"):
        raise NotAvailableError("torch.optim has no Muon before torch 2.9")
    made: torch.optim.Optimizer = torch.optim.Muon(params)
    return made


def _floor(params: Params) -> Any:
    from schuss.cli.bench.floor import Floor  # which brings the compiler

    return Floor(params, 1, torch.get_num_threads())


def _other_soap(params: Params) -> Any:
    try:
        import pytorch_optimizer
    except ModuleNotFoundError as error:
        raise NotAvailableError(f"{error.name} is not installed") from None
    return pytorch_optimizer.SOAP(params, precondition_frequency=PERIOD)


def _is_hidden(position: int, param: Tensor) -> bool:
    """Tell whether a parameter of GPT-2 is a matrix within the model, and no embedding."""
    return param.dim() == 2 and position > 1


def _divided(params: Params) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the matrices within GPT-2, and the rest of its parameters."""
    hidden = [_is_hidden(at, param) for at, param in enumerate(params)]
    pairs = list(zip(params, hidden, strict=True))
    return [p for p, within in pairs if within], [p for p, within in pairs if not within]


def _composite(params: Params) -> Composite:
    names = ("hidden", "rest")
    groups = [
        {"params": part, "algorithm": name}
        for name, part in zip(names, _divided(params), strict=True)
    ]
    return Composite(groups, hidden=Muon(), rest=AdamW())


@dataclass(frozen=True)
class _Both:
    """Two optimizers for the two parts of a model."""

    hidden: torch.optim.Optimizer
    rest: torch.optim.Optimizer

    def step(self) -> None:
        self.hidden.step()
        self.rest.step()


def _ours_alone(params: Params) -> _Both:
    hidden, rest = _divided(params)
    return _Both(Muon(hidden), AdamW(rest))


def _torch_alone(params: Params) -> _Both:
    hidden, rest = _divided(params)
    return _Both(_torch_muon(hidden), torch.optim.AdamW(rest, fused=True))


Contenders: TypeAlias = Mapping[str, Callable[[Params], Any]]

MUONS: Final[Contenders] = {
    OURS: Muon,
    "schuss Muon, form='ordinary'": partial(Muon, form="ordinary"),
    "schuss Muon, loop": partial(Muon, foreach=False),
    "torch.optim.Muon": _torch_muon,
    ELEMENTWISE: Untouched,
    FLOOR: _floor,
}
SOAPS: Final[Contenders] = {
    "schuss SOAP": partial(SOAP, precondition_frequency=PERIOD),
    "pytorch-optimizer SOAP": _other_soap,
}
WHOLE_MODELS: Final[Contenders] = {
    "schuss Composite(Muon, AdamW)": _composite,
    "schuss Muon, then AdamW": _ours_alone,
    "torch.optim.Muon, then fused AdamW": _torch_alone,
}


@dataclass(frozen=True)
class Race:
    """A workload, and those who step it.

    Attributes:
        workload: The parameters.
        contenders: The function that makes each contender for parameters; the first is ours.
        steps: The steps that are timed as one.
        on_demand: Whether it is measured only if it is asked for.
    """

    workload: Workload
    contenders: Contenders
    steps: int = 1
    on_demand: bool = False


_GPT2: Final = WORKLOADS["gpt2"]
_HIDDEN: Final[tuple[Shape, ...]] = tuple(
    shape for at, shape in enumerate(_GPT2.shapes) if len(shape) == 2 and at > 1
)
_AROUND_256: Final[tuple[Shape, ...]] = (
    *[(256, 256)] * 12,
    *[(1024, 256)] * 6,
    *[(256, 1024)] * 6,
)
_MIX: Final = "24 matrices around 256"

RACES: Final[dict[str, Race]] = {
    race.workload.name: race
    for race in (
        Race(Workload("muon-64", "Muon, 200 matrices of 64x64", ((64, 64),) * 200), MUONS),
        Race(Workload("muon-256", f"Muon, {_MIX}", _AROUND_256), MUONS),
        Race(Workload("muon-gpt2", "Muon, the 48 matrices in GPT-2 small", _HIDDEN), MUONS),
        Race(
            Workload("muon-gpt2-12", "Muon, 12 matrices in GPT-2 small", _HIDDEN[:12]),
            MUONS,
            on_demand=True,
        ),
        Race(Workload("soap-64", "SOAP, 100 matrices of 64x64", ((64, 64),) * 100), SOAPS, PERIOD),
        Race(Workload("soap-256", f"SOAP, {_MIX}", _AROUND_256), SOAPS, PERIOD),
        Race(Workload("composite", "GPT-2 small as a whole", _GPT2.shapes), WHOLE_MODELS),
    )
}
"""The races by the names of their workloads: the values of `--workload`."""


def measure_race(race: Race, settings: Settings, progress: Progress) -> dict[str, Any]:
    """Time the steps of all contenders of a race.

    Args:
        race: The race.
        settings: How to do it.
        progress: Shows how it gets on.
    """
    workload, names = race.workload, list(race.contenders)
    moved: Moved = {FLOOR: _FLOOR_BYTES}
    progress.begins(workload.title, len(names) + settings.rounds)
    heat = run_heat(names, partial(_step, race, moved), settings, progress)
    return {
        "workload": {
            "name": workload.name,
            "title": workload.title,
            "tensors": len(workload.shapes),
            "numbers": workload.numbers,
        },
        "ours": names[0],
        "steps": race.steps,
        "contenders": [_row(name, names[0], race.steps, heat, moved) for name in heat.runners],
        "left_out": heat.left_out,
        "heats": [asdict(heat)],
    }


def _step(race: Race, moved: Moved, name: str) -> Step:
    """Return the steps of a contender that are timed as one, on parameters of its own."""
    params = parameters(race.workload)
    optimizer = race.contenders[name](params)
    if name == ELEMENTWISE:
        moved[name] = _bytes_per_number(optimizer, race.workload.numbers)
    step: Step = optimizer.step
    if race.steps == 1:
        return step

    def steps() -> None:
        for _ in range(race.steps):
            step()

    return steps


def _bytes_per_number(optimizer: Muon, numbers: int) -> float:
    """Return the bytes that the kernels of an optimizer move for each number of its parameters."""
    cohorts = optimizer.explain().cohorts
    if any(cohort.bytes_per_number is None for cohort in cohorts):
        raise NotAvailableError(f"there are no kernels: {cohorts[0].reason}")
    return sum((cohort.bytes_per_number or 0) * cohort.numbers for cohort in cohorts) / numbers


def _row(name: str, ours: str, steps: int, heat: Heat, moved: Moved) -> dict[str, Any]:
    runner = heat.runners[name]
    per_byte = _FLOOR_BYTES / moved[name] if name in moved else None
    return {
        "name": name,
        "step_ms": asdict(Spread.of([ms / steps for ms in runner.rounds_ms])),
        "over_ours": over([heat], name, ours),
        "bytes_per_number": moved.get(name),
        "over_floor_per_byte": None if per_byte is None else over([heat], name, FLOOR, per_byte),
        "extra_bytes": runner.extra_bytes,
    }
