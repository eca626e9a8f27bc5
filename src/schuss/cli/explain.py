"""`schuss explain`: which engine takes an optimizer's steps, why, and how fast."""

from __future__ import annotations

import statistics
import time
from typing import Annotated

import typer

from schuss.cli.bench.workloads import WORKLOADS, parameters
from schuss.cli.errors import OptionError, shown_as_message
from schuss.cli.skeletons import MODELS
from schuss.optimizer import Optimizer
from schuss.registry import create_optimizer

_SECONDS = 1.0


def explain_command(
    optimizer: Annotated[
        str, typer.Argument(help="Name of an optimizer, as `schuss list` shows it.")
    ],
    model: Annotated[
        str, typer.Option(help=f"Whose shapes of parameters: {', '.join(MODELS)}.")
    ] = "mnist",
) -> None:
    """Explain a step: engine, reason, program, kernel, bytes, and what time it takes."""
    with shown_as_message():
        if model not in MODELS:
            raise OptionError(f"there is no model {model!r}; there are {', '.join(MODELS)}")
        try:
            created = create_optimizer(optimizer, parameters(WORKLOADS[model]))
        except ValueError as error:
            raise OptionError(str(error)) from None
    typer.echo(created.explain())
    typer.echo(f"\nmeasured: {1e3 * _seconds_a_step(created):.3f} ms a step, the median")


def _seconds_a_step(optimizer: Optimizer) -> float:
    """Return the median duration of steps, after some to warm up."""
    for _ in range(3):
        optimizer.step()
    durations: list[float] = []
    end = time.perf_counter() + _SECONDS
    while time.perf_counter() < end or len(durations) < 3:
        start = time.perf_counter()
        optimizer.step()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)
