"""Steps unlike the one before: gradients that come and go, counts, a schedule, a look at state."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count as count_from
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import torch
from torch import Tensor, nn

from schuss.cli.bench.heats import Heat, Settings, Step, Watcher, run_heat
from schuss.cli.bench.printed import launch_timed
from schuss.cli.bench.progress import Progress
from schuss.optimizers import AdamW

UNEVEN: Final = "uneven"

COMING: Final = (60, 120_000)
"""How many parameters come and go, and how many numbers each has: experts of a mixture, say."""

COUNTED: Final = (500, 288)
"""How many parameters have a step count of their own, and how many numbers each has."""

MANY: Final = (2000, 16)
"""How many parameters a schedule and a look at the state are tried with, and their numbers."""

MADE: Final[dict[str, Callable[..., torch.optim.Optimizer]]] = {
    "schuss fused": lambda params: AdamW(params, fused=True),
    "torch foreach": lambda params: torch.optim.AdamW(params, foreach=True),
    "torch fused": lambda params: torch.optim.AdamW(params, fused=True),
}
"""The contenders."""

WHOLE: Final = "every gradient, one count"
_BLOCK: Final = 0.04  # seconds, as for single steps

COMES: Final = "half of the gradients, at random"
COUNTS: Final = "every gradient, 500 counts"
SCHEDULED: Final = "a new learning rate in every step"
READ: Final = "a moment is read after every step"

CASES: Final = (
    ("60 parameters of 120,000 numbers", COMING, (WHOLE, COMES)),
    ("500 parameters of 288 numbers", COUNTED, (WHOLE, COUNTS)),
    ("2000 parameters of 16 numbers", MANY, (WHOLE, SCHEDULED, READ)),
)


def measure_uneven(settings: Settings, watcher: Watcher) -> list[tuple[str, Heat]]:
    """Time what steps take that are unlike the one before, beside steps that are alike."""
    found = []
    for title, shape, cases in CASES:
        names = [f"{name}: {case}" for case in cases for name in MADE]
        found.append((title, run_heat(names, partial(_step, shape), settings, watcher)))
    return found


def _step(shape: tuple[int, int], name: str) -> Step:
    """Return the step of a contender."""
    contender, _, case = name.partition(": ")
    count, numbers = shape
    generator = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(numbers, generator=generator)) for _ in range(count)]
    grads = [torch.randn(numbers, generator=generator) for _ in params]
    optimizer = MADE[contender](params)
    if case == COUNTS:
        _count_apart(optimizer, params, grads)
    for param, grad in zip(params, grads, strict=True):
        param.grad = grad
    chance, rates = random.Random(0), count_from(1)

    def coming() -> None:
        for param, grad in zip(params, grads, strict=True):
            param.grad = grad if chance.random() < 0.5 else None
        optimizer.step()

    def scheduled() -> None:
        optimizer.param_groups[0]["lr"] = 1e-3 / next(rates)
        optimizer.step()

    def read() -> None:
        optimizer.step()
        _ = optimizer.state[params[0]]["exp_avg"]

    return {COMES: coming, SCHEDULED: scheduled, READ: read}.get(case, optimizer.step)


def _count_apart(
    optimizer: torch.optim.Optimizer, params: Sequence[Tensor], grads: Sequence[Tensor]
) -> None:
    """Give every parameter a step count of its own, as if it had come one step after another."""
    for param, grad in zip(params, grads, strict=True):
        param.grad = grad
    optimizer.step()
    for count, param in enumerate(params, start=1):
        step: Any = optimizer.state[param]["step"]
        optimizer.state[param]["step"] = (
            torch.full_like(step, count) if torch.is_tensor(step) else count
        )


def lines(title: str, heat: Heat) -> list[str]:
    """Return what came of a heat: times, and their ratios within rounds, as lines of Markdown."""
    ours = heat.runners[f"schuss fused: {WHOLE}"].rounds_ms
    found = [
        f"### {title}",
        "",
        "| steps | contender | ms | x schuss fused, every gradient |",
        "| --- | --- | --: | --: |",
    ]
    for name, runner in heat.runners.items():
        contender, _, case = name.partition(": ")
        ratios = [time / own for time, own in zip(runner.rounds_ms, ours, strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        ratio = f"{middle:.2f} [{low:.2f} {high:.2f}]"
        found.append(f"| {case} | {contender} | {median(runner.rounds_ms):.3f} | {ratio} |")
    return [*found, ""]


def measured(settings: Settings, progress: Progress) -> Iterator[str]:
    """Measure, and yield what came of it, line by line."""
    progress.begins("AdamW, unevenly", 0)
    for title, heat in measure_uneven(settings, progress):
        yield from lines(title, heat)


def launch_uneven(rounds: int, threads: int | None, document: Path | None) -> None:
    """Measure steps unlike the one before, and show what came of it.

    Args:
        rounds: How often every contender has its turn.
        threads: How many threads they may use; as many as torch takes, if None.
        document: A document, whose section `uneven` takes the tables.
    """
    settings = Settings(rounds, threads or torch.get_num_threads(), _BLOCK)
    launch_timed(UNEVEN, settings, measured, document)
