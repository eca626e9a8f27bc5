"""Tables of optimizers with options and alone, compared seed by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch

import schuss
from schuss.cli.trained.outcome import Outcome
from schuss.cli.trained.tasks import TASKS

FAR: Final = 2.0
"""So many spreads from the optimizer alone, an accuracy of a survey is in bold."""


class Difference(NamedTuple):
    """The difference that options make to a number, seed by seed.

    Attributes:
        mean: The mean of the differences.
        deviation: Their standard deviation over the seeds.
        spreads: The mean in units of the spread, which is the standard deviation over the seeds of
            the optimizer alone.

    Example:
        >>> difference([1.0, 2.0, 3.0], [1.5, 2.5, 3.5])
        Difference(mean=0.5, deviation=0.0, spreads=0.5)
    """

    mean: float
    deviation: float
    spreads: float


def difference(alone: Sequence[float], other: Sequence[float]) -> Difference:
    """Return the difference of two rows of numbers, in the same order of seeds."""
    each = [b - a for a, b in zip(alone, other, strict=True)]
    mean, spread = statistics.fmean(each), _deviation(alone)
    return Difference(mean, _deviation(each), mean and mean / (spread or math.nan))


def _deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of a sample; NaN if not all of it is finite."""
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


@dataclass(frozen=True)
class Column:
    """An optimizer with some options: its outcomes, in the order of the seeds."""

    outcomes: tuple[Outcome, ...]

    @property
    def variant(self) -> str:
        """The options; none for the optimizer alone."""
        return self.outcomes[0].trial.variant

    @property
    def train_loss(self) -> list[float]:
        """Training loss by seed."""
        return [outcome.train_loss for outcome in self.outcomes]

    @property
    def test_loss(self) -> list[float]:
        """Test loss by seed."""
        return [outcome.test_loss for outcome in self.outcomes]

    @property
    def accuracy(self) -> list[float]:
        """Test accuracy in percent, by seed."""
        return [100 * outcome.test_accuracy for outcome in self.outcomes]

    @property
    def diverged(self) -> int:
        """How many of the runs diverged."""
        return sum(outcome.diverged for outcome in self.outcomes)

    @property
    def kept(self) -> str:
        """The keys of the state that are kept in fewer bytes, with their codecs and dtypes."""
        kept = self.outcomes[0].kept
        return ", ".join(f"`{key}` as {name}" for key, name in kept.items()) or "nothing"

    def is_same(self, other: Column) -> bool:
        """Tell whether all losses are those of another column, to the last bit."""
        pairs = zip(self.outcomes, other.outcomes, strict=True)
        return all(a.curve == b.curve and a.train_loss == b.train_loss for a, b in pairs)


def columns(outcomes: Iterable[Outcome]) -> list[list[Column]]:
    """Return the columns of each optimizer and learning rate, in the order of the outcomes."""
    grouped: dict[tuple[str, float], dict[str, list[Outcome]]] = {}
    for outcome in outcomes:
        trial = outcome.trial
        of_one = grouped.setdefault((trial.contender, trial.rate), {})
        of_one.setdefault(trial.variant, []).append(outcome)
    return [[Column(tuple(each)) for each in of_one.values()] for of_one in grouped.values()]


def comparison_section(outcomes: Sequence[Outcome], command: str) -> str:
    """Return the section of the document: the command, its data, and the table.

    Args:
        outcomes: The outcomes in the order of the seeds, and for each of these in the order of the
            table, each optimizer alone before its variants.
        command: The command.
    """
    trial = outcomes[0].trial
    task, seeds = TASKS[trial.task], {outcome.trial.seed for outcome in outcomes}
    made = columns(outcomes)
    return "\n".join(
        [
            f"    {command} --markdown PATH",
            "",
            (
                f"{task.title[0].upper()}{task.title[1:]}; {trial.epochs} epochs, each of "
                f"{task.epoch}; {len(seeds)} seeds; "
                f"schuss {schuss.__version__}, torch {torch.__version__}."
            ),
            "",
            *(_survey(made) if task.is_survey else _comparison(made)),
        ]
    )


def _comparison(made: Sequence[Sequence[Column]]) -> list[str]:
    """Return a table with a row for each optimizer and its options."""
    heads = ["optimizer", "state in fewer bytes", "bytes a number", "training loss"]
    heads += ["in spreads", "test loss", "difference by seed", "in spreads"]
    lines = [heads, ["---"] * 2 + ["--:"] * (len(heads) - 2)]
    for alone, *others in made:
        lines += [_row(alone, alone), *(_row(alone, other) for other in others)]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _row(alone: Column, column: Column) -> list[str]:
    first = column.outcomes[0]
    train = difference(alone.train_loss, column.train_loss)
    test = difference(alone.test_loss, column.test_loss)
    name = first.trial.contender if column is alone else f"`{column.variant}`"
    cells = [name, column.kept, f"{first.bytes:.2f}"]
    if column is alone:
        return [*cells, _mean(column.train_loss), "", _mean(column.test_loss), "", ""]
    if column.diverged:
        return [*cells, f"**diverged** in {column.diverged} of {len(column.outcomes)}", *[""] * 4]
    by_seed = f"{_signed(test.mean, 4)} ± {test.deviation:.4f}"
    judged = _judged(train.spreads), _judged(test.spreads)
    return [
        *cells,
        _mean(column.train_loss),
        judged[0],
        _mean(column.test_loss),
        by_seed,
        judged[1],
    ]


def _mean(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.3f} ± {_deviation(values):.3f}"


def _judged(spreads: float) -> str:
    """Return a difference of losses in spreads, and whether it is within one."""
    word = "within" if abs(spreads) <= 1 else "better" if spreads < 0 else "**worse**"
    return f"{_signed(spreads, 2)}, {word}"


def _signed(value: float, digits: int) -> str:
    """Return a number with its sign; of what is rounded to zero it is a plus."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def _survey(made: Sequence[Sequence[Column]]) -> list[str]:
    """Return a table with a row for each optimizer, and a sum of it."""
    variants = [column.variant for column in made[0]]
    heads = ["optimizer", "state in fewer bytes", "alone", *(f"`{text}`" for text in variants[1:])]
    lines = [heads, ["---"] * 2 + ["--:"] * len(variants)]
    usual = statistics.median(_deviation(alone.accuracy) for alone, *_ in made)
    for alone, *others in sorted(made, key=lambda each: each[0].outcomes[0].trial.contender):
        name, keys = alone.outcomes[0].trial.contender, others[0].outcomes[0].kept
        cells = [name, ", ".join(f"`{key}`" for key in keys) or "none", _losses(alone)]
        lines.append([*cells, *(_compared(alone, other, usual) for other in others)])
    table = [f"| {' | '.join(cells)} |" for cells in lines]
    sums = [
        _sum([(each[0], each[place]) for each in made], usual) for place in range(1, len(heads) - 2)
    ]
    return [*table, "", *sums]


def _losses(column: Column) -> str:
    accuracy = statistics.fmean(column.accuracy)
    return f"{statistics.median(column.train_loss):.2g}, {accuracy:.1f}"


def _spreads(alone: Column, other: Column, usual: float) -> float:
    """Return the difference of accuracies in spreads.

    The spread is the standard deviation of the optimizer alone, but no less than the usual one:
    of a few seeds, all may be the same by chance.
    """
    spread = max(usual, _deviation(alone.accuracy))
    return difference(alone.accuracy, other.accuracy).mean / (spread or math.nan)


def _compared(alone: Column, other: Column, usual: float) -> str:
    """Return loss and accuracy, in bold if the accuracy is far from that of the optimizer alone."""
    if other.is_same(alone):
        return "the same"
    shown = _losses(other) + (f" ({other.diverged} diverged)" if other.diverged else "")
    return f"**{shown}**" if abs(_spreads(alone, other, usual)) > FAR else shown


def _sum(pairs: Sequence[tuple[Column, Column]], usual: float) -> str:
    """Return a line on one variant of all optimizers."""
    others = [(alone, other) for alone, other in pairs if not other.is_same(alone)]
    same = f"{len(pairs) - len(others)} of {len(pairs)} train to the same bits."
    begin = f"- `{pairs[0][1].variant}`: {same}"
    if not others:
        return begin
    points = statistics.median(difference(a.accuracy, b.accuracy).mean for a, b in others)
    ratio = statistics.median(
        statistics.median(b.train_loss) / statistics.median(a.train_loss) for a, b in others
    )
    spreads = [_spreads(alone, other, usual) for alone, other in others]
    return (
        f"{begin} In the median of the others, the training loss is {ratio:.2f} times as large, "
        f"and the accuracy differs by {_signed(points, 2)} points. It is lower by more than "
        f"{FAR:g} spreads for {sum(each < -FAR for each in spreads)} of them, and higher for "
        f"{sum(each > FAR for each in spreads)}; the usual spread is {usual:.2f} points."
    )
