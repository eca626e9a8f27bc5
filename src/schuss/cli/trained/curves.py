"""The figure of a comparison: losses by step, and by learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from schuss.cli.mnist.styles import Style
from schuss.cli.trained.document import Row
from schuss.cli.trained.figure import padded, write_reproducibly
from schuss.cli.trained.outcome import Outcome

_SIZE: Final = (8.0, 3.8)  # inches
_EDGES: Final = {"left": 0.08, "right": 0.985, "bottom": 0.13, "top": 0.92, "wspace": 0.16}
_HIGHEST: Final = 2.0  # times the least loss; what is higher is cut off


def write_curves(made: Sequence[Row], tried: Sequence[Outcome], path: Path) -> None:
    """Draw the rows and what was tried, and write the figure in the format of the suffix."""
    write_reproducibly(lambda: draw(made, tried), path)


def draw(made: Sequence[Row], tried: Sequence[Outcome]) -> Figure:
    """Return the figure: losses by step on the left, and by learning rate on the right.

    Args:
        made: The rows, the best first. Of an optimizer with several, the left shows the first.
        tried: The outcomes of the sweep, if there was one.
    """
    figure = Figure(figsize=_SIZE, dpi=150)
    steps, rates = figure.subplots(1, 2, gridspec_kw=_EDGES)
    names = list(dict.fromkeys(row.name for row in made))
    styles = {name: Style.of(index) for index, name in enumerate(sorted(names))}
    _draw_steps(steps, [next(row for row in made if row.name == name) for name in names], styles)
    _draw_rates(rates, made, tried, styles)
    for axes in (steps, rates):
        axes.grid(color="#eeeeee", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_steps(axes: Axes, shown: Sequence[Row], styles: dict[str, Style]) -> None:
    """Draw the median of the seeds for each row, and a band from the lowest to the highest."""
    for row in shown:
        first = row.outcomes[0]
        curves = padded([outcome.test_curve for outcome in row.outcomes])
        steps = np.arange(1, curves.shape[1] + 1) * (first.steps // first.trial.epochs)
        label = f"{row.name}, lr {row.rate:g}"
        axes.plot(steps, np.median(curves, axis=0), **styles[row.name].line(), label=label)
        lowest, highest = curves.min(axis=0), curves.max(axis=0)
        color = styles[row.name].color
        axes.fill_between(steps, lowest, highest, color=color, alpha=0.2, linewidth=0)
    axes.set_xlim(left=0)
    _tick_losses(axes, min(row.test_loss[0] for row in shown))
    axes.set_title("test loss by step, median and range of the seeds", fontsize=9, loc="left")
    axes.set_xlabel("step", fontsize=8)
    axes.legend(fontsize=8, frameon=False)


def _draw_rates(
    axes: Axes, made: Sequence[Row], tried: Sequence[Outcome], styles: dict[str, Style]
) -> None:
    """Draw a line of the losses in the sweep, and a dot for each seed of the rows."""
    axes.set_xscale("log")
    for name, style in styles.items():
        swept = sorted((o.trial.rate, o.test_loss) for o in tried if o.trial.contender == name)
        hollow: dict[str, Any] = style.line() | {"linewidth": 1, "markerfacecolor": "white"}
        hollow |= {"markeredgecolor": style.color, "markeredgewidth": 1}
        axes.plot([rate for rate, _ in swept], [loss for _, loss in swept], **hollow)
        dots: dict[str, Any] = {"color": style.color, "marker": style.marker, "s": 14}
        for row in (row for row in made if row.name == name):
            rates = [row.rate] * len(row.test_loss)
            axes.scatter(rates, row.test_loss, alpha=0.5, linewidth=0, **dots)
    _tick_losses(axes, min(outcome.test_loss for row in made for outcome in row.outcomes))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_title("last loss by learning rate", fontsize=9, loc="left")
    axes.set_xlabel(
        "filled: test loss of each seed; hollow: held-out loss of the sweep", fontsize=8
    )


def _tick_losses(axes: Axes, least: float) -> None:
    """Set the limits and the ticks of an axis of losses, of which one is the least."""
    axes.set_yscale("log")
    axes.set_ylim(top=min(axes.get_ylim()[1], _HIGHEST * least))
    axes.yaxis.set_major_locator(LogLocator(subs=range(1, 10)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
