"""The outcomes of the trials, as tables in Markdown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch

import schuss
from schuss.cli.mnist.settings import DEFAULT_BATCH_SIZE
from schuss.cli.trained.trials import Outcome

TIE: Final = 0.01
"""Of rates whose losses on the images held out are closer than this, the smallest is taken."""


@dataclass(frozen=True)
class Row:
    """An optimizer and its outcomes, one a seed."""

    name: str
    outcomes: tuple[Outcome, ...]

    @property
    def options(self) -> str:
        """Its hyper-parameters, as the command line takes them."""
        return self.outcomes[0].trial.spec.partition(":")[2]

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


def rows(outcomes: Iterable[Outcome]) -> list[Row]:
    """Return a row for each optimizer, the most accurate first.

    Those of the same median accuracy are in order of their training loss.
    """
    grouped: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault(outcome.trial.name, []).append(outcome)
    made = [Row(name, tuple(found)) for name, found in grouped.items()]
    return sorted(
        made,
        key=lambda row: (
            row.diverged,
            -statistics.median(row.accuracy),
            statistics.median(row.train_loss),
            row.name,
        ),
    )


def table(made: Sequence[Row], figure: str) -> str:
    """Return the section of the document: what was run, the figure and the table.

    Args:
        made: The rows.
        figure: Name of the file of the figure.
    """
    trial = made[0].outcomes[0].trial
    seeds = len(made[0].outcomes)
    lines = [
        f"    schuss trained --epochs {trial.settings.epochs} --seeds {seeds} --markdown PATH",
        "",
        (
            f"{len(made)} optimizers, {trial.settings.epochs} epochs in batches of "
            f"{DEFAULT_BATCH_SIZE}, seeds 0 to {seeds - 1}; schuss {schuss.__version__}, "
            f"torch {torch.__version__}."
        ),
        "",
        f"![Loss by epoch and test accuracy of every optimizer]({figure})",
        "",
        "| optimizer | hyper-parameters | schedule | training loss | test accuracy, % |",
        "| --- | --- | --- | --: | --: |",
    ]
    return "\n".join([*lines, *map(_line, made)])


def _line(row: Row) -> str:
    settings = row.outcomes[0].trial.settings
    loss = _spread(row.train_loss, lambda value: f"{value:.2g}")
    accuracy = _spread(row.accuracy, lambda value: f"{value:.1f}")
    note = f" ({row.diverged} diverged)" if row.diverged else ""
    options = f"`{row.options}`"
    return f"| {row.name} | {options} | {settings.schedule} | {loss} | {accuracy}{note} |"


def _spread(values: Sequence[float], show: Callable[[float], str]) -> str:
    """Return the median, and in brackets the lowest and the highest."""
    return f"{show(statistics.median(values))} [{show(values[0])} {show(values[-1])}]"


def sweep_table(outcomes: Iterable[Outcome]) -> str:
    """Return what a sweep found, with the learning rate to take in bold."""
    grouped: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault(outcome.trial.name, []).append(outcome)
    lines = ["| optimizer | loss on the images held out, by learning rate |", "| --- | --- |"]
    return "\n".join([*lines, *(_sweep_line(name, grouped[name]) for name in sorted(grouped))])


def _sweep_line(name: str, outcomes: Sequence[Outcome]) -> str:
    losses: Mapping[float, float] = {
        float(outcome.trial.spec.partition("lr=")[2].partition(",")[0]): outcome.test_loss
        for outcome in outcomes
    }
    finite = [loss for loss in losses.values() if math.isfinite(loss)]
    good = [rate for rate, loss in losses.items() if loss <= min(finite, default=0.0) + TIE]
    shown = [
        f"**{rate:g}: {loss:.3f}**" if rate == min(good, default=0.0) else f"{rate:g}: {loss:.3f}"
        for rate, loss in sorted(losses.items())
    ]
    return f"| {name} | {', '.join(shown)} |"
