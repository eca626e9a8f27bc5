"""The figure of a survey: a line for each optimizer, with its losses and its accuracy."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from schuss.cli.mnist.atomic import written_atomically
from schuss.cli.trained.document import Row

_WIDTH: Final = 8.0  # inches, as are the heights
_ROW: Final = 0.17
_MARGINS: Final = 1.0
_INK: Final = "#0072B2"
_FAINT: Final = "#cccccc"
_HIGHEST: Final = 4.0  # a loss; guessing costs 2.3
_LOWEST: Final = 90.0  # percent; what is lower stands at the edge, as a number


def write_figure(made: Sequence[Row], path: Path) -> None:
    """Draw the rows, and write the figure in the format of the suffix of `path`."""
    write_reproducibly(lambda: draw(made), path)


def write_reproducibly(drawn: Callable[[], Figure], path: Path) -> None:
    """Write a figure in the format of the suffix of `path`; the same figure makes the same file.

    Args:
        drawn: Draws the figure.
        path: The file.
    """
    # Without these, an SVG has a date and random names.
    with rc_context({"svg.hashsalt": "schuss"}), written_atomically(path) as temporary:
        drawn().savefig(temporary, metadata={"Date": None} if path.suffix == ".svg" else None)


def draw(made: Sequence[Row]) -> Figure:
    """Return the figure: losses on the left, accuracies on the right, the best on top."""
    height = _MARGINS + _ROW * len(made)
    figure = Figure(figsize=(_WIDTH, height), dpi=150)
    edges = {"left": 0.2, "right": 0.98, "wspace": 0.06}
    edges |= {"bottom": 0.55 / height, "top": 1 - 0.4 / height}
    loss, accuracy = figure.subplots(1, 2, sharey=True, gridspec_kw=edges)
    _draw_losses(loss, made)
    _draw_accuracies(accuracy, made)
    loss.set_yticks(range(len(made)), [row.name for row in made], fontsize=8)
    loss.set_ylim(len(made) - 0.4, -0.6)
    for axes in (loss, accuracy):
        axes.grid(axis="y", color="#eeeeee", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=8)
        axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def _draw_losses(axes: Axes, made: Sequence[Row]) -> None:
    """Draw the loss of each epoch, from pale to dark."""
    axes.set_xscale("log")
    for place, row in enumerate(made):
        epochs = np.median(padded([outcome.curve for outcome in row.outcomes]), axis=0)
        axes.plot(epochs, [place] * len(epochs), color=_FAINT, linewidth=0.8, zorder=1)
        shades = [(_INK, shade) for shade in np.linspace(0.15, 1, len(epochs))]
        axes.scatter(epochs, [place] * len(epochs), s=13, c=shades, linewidth=0)
    axes.set_xlim(right=_HIGHEST)
    axes.set_title("training loss by epoch, the last is darkest", fontsize=9, loc="left")
    axes.set_xlabel("mean over an epoch, median of the seeds", fontsize=8)
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def padded(curves: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return the curves in one length: one that ended in divergence goes on as NaN."""
    length = max(map(len, curves))
    return np.array([[*curve, *[np.nan] * (length - len(curve))] for curve in curves])


def _draw_accuracies(axes: Axes, made: Sequence[Row]) -> None:
    """Draw the accuracy of each seed, and a stroke at their median."""
    for place, row in enumerate(made):
        values = row.accuracy
        axes.plot([values[0], values[-1]], [place, place], color=_FAINT, linewidth=0.8, zorder=1)
        axes.scatter(values, [place] * len(values), s=13, color=_INK, alpha=0.5, linewidth=0)
        middle = statistics.median(values)
        axes.plot([middle], [place], "|", color=_INK, markersize=7)
        if middle < _LOWEST:
            axes.text(_LOWEST, place, f" ◂ {middle:.0f}", fontsize=7, color=_INK, va="center")
    axes.set_xlim(_LOWEST, 100)
    axes.set_title("test accuracy, %", fontsize=9, loc="left")
    axes.set_xlabel("a dot for each seed, a stroke at the median", fontsize=8)
