"""The outcomes of the trials, as tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

import schuss
from schuss.cli.trained.outcome import Outcome
from schuss.cli.trained.search import best_first
from schuss.cli.trained.tasks import TASKS, Task


@dataclass(frozen=True)
class Row:
    """An optimizer with its hyper-parameters, and its outcomes, one a seed."""

    outcomes: tuple[Outcome, ...]

    @property
    def name(self) -> str:
        """The optimizer as it was asked for."""
        return self.outcomes[0].trial.contender

    @property
    def rate(self) -> float:
        """Its learning rate."""
        return self.outcomes[0].trial.rate

    @property
    def diverged(self) -> int:
        """How many of the runs diverged."""
        return sum(outcome.diverged for outcome in self.outcomes)

    @property
    def accuracy(self) -> list[float]:
        """Test accuracy in percent, in ascending order."""
        return sorted(100 * outcome.test_accuracy for outcome in self.outcomes)

    @property
    def train_loss(self) -> list[float]:
        """Training loss, in ascending order."""
        return sorted(outcome.train_loss for outcome in self.outcomes)

    @property
    def test_loss(self) -> list[float]:
        """Test loss, in ascending order."""
        return sorted(outcome.test_loss for outcome in self.outcomes)

    @property
    def milliseconds(self) -> float:
        """The time of the processor for a step, in the fastest epoch of all runs."""
        return min(outcome.milliseconds for outcome in self.outcomes)


def rows(outcomes: Iterable[Outcome]) -> list[Row]:
    """Return a row for each optimizer and its hyper-parameters, the best first.

    In a survey this is the most accurate, and of those that are the same the one of the least
    training loss; else it is the one of the least test loss. Those that diverged are last.
    """
    grouped: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault((outcome.trial.contender, outcome.trial.spec), []).append(outcome)
    return sorted((Row(tuple(found)) for found in grouped.values()), key=_rank)


def _rank(row: Row) -> tuple[float | str, ...]:
    accuracy, train_loss = statistics.median(row.accuracy), statistics.median(row.train_loss)
    survey = (
        (-accuracy, train_loss) if _task(row).is_survey else (statistics.median(row.test_loss),)
    )
    return (row.diverged, *survey, row.name)


def _task(row: Row) -> Task:
    return TASKS[row.outcomes[0].trial.task]


def section(made: Sequence[Row], tried: Sequence[Outcome], figure: str, command: str) -> str:
    """Return the section of the document: the command, what it ran, the figure and the tables.

    Args:
        made: The rows.
        tried: The outcomes of the sweep, if there was one.
        figure: Name of the file of the figure.
        command: The command.
    """
    task, trial = _task(made[0]), made[0].outcomes[0].trial
    names = {row.name for row in made}
    seeds = len(made[0].outcomes)
    shows = (
        "Loss by epoch and test accuracy of every optimizer"
        if task.is_survey
        else "Loss by step and by learning rate"
    )
    lines = [
        f"    {command} --markdown PATH",
        "",
        (
            f"{len(names)} optimizers, {task.title}; {trial.epochs} epochs, each of {task.epoch}; "
            f"seeds 0 to {seeds - 1}; schuss {schuss.__version__}, torch {torch.__version__}."
        ),
        "",
        f"![{shows}]({figure})",
        "",
        table(made),
    ]
    swept = ["", sweep_table(tried)] if tried else []
    return "\n".join([*lines, *swept])


def table(made: Sequence[Row]) -> str:
    """Return the table of the rows."""
    survey = _task(made[0]).is_survey
    heads = ["optimizer", "hyper-parameters", "schedule", "training loss"]
    heads += [] if survey else ["test loss"]
    heads += ["test accuracy, %"] + ([] if survey else ["processor, ms a step"])
    rules = ["---"] * 3 + ["--:"] * (len(heads) - 3)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, rules, *map(_cells, made)])


def _cells(row: Row) -> list[str]:
    trial, survey = row.outcomes[0].trial, _task(row).is_survey
    note = f" ({row.diverged} diverged)" if row.diverged else ""
    accuracy = _spread(row.accuracy, lambda value: f"{value:.1f}") + note
    cells = [row.name, f"`{trial.options}`", trial.schedule]
    if survey:
        return [*cells, _spread(row.train_loss, lambda value: f"{value:.2g}"), accuracy]
    losses = [
        _spread(each, lambda value: f"{value:.3f}") for each in (row.train_loss, row.test_loss)
    ]
    return [*cells, *losses, accuracy, f"{row.milliseconds:.0f}"]


def _spread(values: Sequence[float], show: Callable[[float], str]) -> str:
    """Return the median, and in brackets the lowest and the highest."""
    return f"{show(statistics.median(values))} [{show(values[0])} {show(values[-1])}]"


def sweep_table(outcomes: Iterable[Outcome]) -> str:
    """Return what a sweep found, with the best learning rate in bold."""
    grouped: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault(outcome.trial.contender, []).append(outcome)
    lines = ["| optimizer | loss on what is held out, by learning rate |", "| --- | --- |"]
    return "\n".join([*lines, *(_sweep_line(name, grouped[name]) for name in sorted(grouped))])


def _sweep_line(name: str, outcomes: Sequence[Outcome]) -> str:
    ordered = sorted(outcomes, key=lambda outcome: outcome.trial.rate)
    best = best_first({place: outcome.test_loss for place, outcome in enumerate(ordered)})[0]
    cells = [f"{outcome.trial.rate:g}: {outcome.test_loss:.3f}" for outcome in ordered]
    cells[best] = f"**{cells[best]}**"
    return f"| {name} | {', '.join(cells)} |"
