"""The figure: loss and accuracy of every run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from numpy.typing import NDArray

from schuss.cli.mnist.atomic import written_atomically
from schuss.cli.mnist.datasets import Dataset
from schuss.cli.mnist.report import rank
from schuss.cli.mnist.styles import Style
from schuss.cli.mnist.training import Run

_COARSE: Final = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
_FINE: Final = (
    *(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.82, 0.84, 0.86, 0.88),
    *(0.9, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.993, 0.995, 0.998),
)

_WIDTH: Final = 10.0  # inches, as are the heights
_PANELS: Final = 3.6
_HEADER: Final = 0.85
_AXIS: Final = 0.5
_LEGEND_ROW: Final = 0.19
_LEGEND_LETTER: Final = 0.078
_LEGEND_HANDLE: Final = 0.75

_FEW: Final = 6  # runs whose every point can be drawn without hiding the others
_SMOOTHED: Final = 12  # batches before and behind; points of large data sets are means already


def write_figure(runs: Sequence[Run], data: Dataset, path: Path) -> None:
    """Draw the runs, and write the figure as PNG."""
    figure = draw(runs, data)
    with written_atomically(path) as temporary:
        figure.savefig(temporary)


def draw(runs: Sequence[Run], data: Dataset) -> Figure:
    """Return a figure of the runs, their loss on the left and their accuracy on the right.

    Args:
        runs: The runs, each after an epoch at least.
        data: The data set that they were trained on.
    """
    letters = max(len(_label(run)) for run in runs)
    columns = max(1, int(_WIDTH / (_LEGEND_HANDLE + _LEGEND_LETTER * letters)))
    legend = _LEGEND_ROW * math.ceil(len(runs) / columns) + 0.15
    height = _HEADER + _PANELS + _AXIS + legend
    figure = Figure(figsize=(_WIDTH, height), dpi=150)
    FigureCanvasAgg(figure)
    edges = {"bottom": (legend + _AXIS) / height, "top": 1 - _HEADER / height}
    sides = {"left": 0.07, "right": 0.985, "wspace": 0.2}
    loss, accuracy = figure.subplots(1, 2, gridspec_kw=sides | edges)
    _plot_loss(loss, runs)
    lines = _plot_accuracy(accuracy, runs, floor=0.5 / len(data.test_labels))
    _write_title(figure, runs[0], data, height)
    best_first = sorted(zip(runs, lines, strict=True), key=lambda pair: rank(pair[0]))
    figure.legend(
        [line for _, line in best_first],
        [_label(run) for run, _ in best_first],
        loc="upper center",
        bbox_to_anchor=(0.5, legend / height),
        ncols=columns,
        fontsize=9,
        frameon=False,
        handlelength=3.2,
        labelspacing=0.4,
    )
    return figure


def _label(run: Run) -> str:
    diverged = run.curve.diverged_at
    ending = f"{100 * run.curve.test_accuracy[-1]:.1f} %"
    return f"{run.label} ({ending if diverged is None else f'diverged at step {diverged}'})"


def _plot_loss(axes: Axes, runs: Sequence[Run]) -> None:
    """Draw the running mean of each run, and faintly every point."""
    axes.set_yscale("log")
    shown: list[float] = []
    for index, run in enumerate(runs):
        style = Style.of(index)
        # Only the last point can be none, where the run diverged.
        loss = np.array([value for value in run.curve.train_loss if math.isfinite(value)])
        epochs = np.array(run.curve.step[: len(loss)]) / run.steps_per_epoch
        per_epoch = max(1, round(len(loss) / run.epochs))
        mean = _running_mean(loss, min(_SMOOTHED // run.curve.step[0], per_epoch // 4))
        shown.extend(mean[mean > 0].tolist())
        if len(runs) <= _FEW:
            axes.plot(epochs, loss, color=style.color, linewidth=0.7, alpha=0.2)
        axes.plot(epochs, mean, **style.line(), markevery=(per_epoch - 1, per_epoch))
        if run.curve.diverged_at is not None:
            cross: dict[str, Any] = {"markersize": 11, "markeredgewidth": 2.5, "zorder": 5}
            axes.plot(epochs[-1:], mean[-1:], "x", color=style.color, **cross)
    if shown:
        _tick_loss(axes, min(shown) / 1.5, max(shown) * 1.5)
    axes.set_ylabel("training loss, running mean")
    _label_epochs(axes)


def _tick_loss(axes: Axes, lowest: float, highest: float) -> None:
    """Set the limits and the ticks of an axis of losses."""
    axes.set_ylim(lowest, highest)
    axes.yaxis.set_minor_formatter(NullFormatter())
    if highest < 100 * lowest:
        narrow = highest < 10 * lowest
        digits = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if narrow else (1.0, 2.0, 5.0)
        axes.yaxis.set_major_locator(LogLocator(subs=digits))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _running_mean(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return the mean of each value and those up to `reach` before and behind it."""
    return np.array(
        [values[max(0, index - reach) : index + reach + 1].mean() for index in range(len(values))]
    )


def _plot_accuracy(axes: Axes, runs: Sequence[Run], floor: float) -> list[Line2D]:
    """Draw the accuracy so that 90 to 99 % takes as much room as 99 to 99.9 %.

    Args:
        axes: The panel.
        runs: The runs.
        floor: The error that stands for none; on this scale no error at all is infinitely far up.

    Returns:
        The line of each run.
    """

    def forward(accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
        return -np.log10(np.clip(1 - accuracy, floor, None))

    def inverse(height: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 - 10.0**-height

    axes.set_yscale("function", functions=(forward, inverse))
    for index, run in enumerate(runs):
        epochs = range(1, run.epochs + 1)
        axes.plot(epochs, run.curve.test_accuracy, **Style.of(index).line())
    _tick_accuracy(axes, runs, floor)
    axes.set_ylabel("test accuracy")
    _label_epochs(axes)
    return list(axes.get_lines())


def _tick_accuracy(axes: Axes, runs: Sequence[Run], floor: float) -> None:
    """Set the limits and the ticks of an axis of accuracies."""
    sound = [run for run in runs if run.curve.diverged_at is None] or runs
    accuracies = [value for run in sound for value in run.curve.test_accuracy]
    lowest, highest, ticks = _around(accuracies, _COARSE, floor)
    if 1 - lowest <= 10 * max(1 - highest, floor):
        lowest, highest, ticks = _around(accuracies, _FINE, floor)
    axes.set_ylim(lowest, highest)
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))


def _around(
    accuracies: Sequence[float], ticks: Sequence[float], floor: float
) -> tuple[float, float, list[float]]:
    """Return those of the ticks that enclose the accuracies, and with them those between."""
    usable = [tick for tick in ticks if 1 - tick > 2 * floor] + [1.0]
    lowest = max((tick for tick in usable if tick < min(accuracies)), default=0.0)
    highest = min((tick for tick in usable if tick > max(accuracies)), default=1.0)
    return lowest, highest, [tick for tick in usable if lowest <= tick <= highest]


def _label_epochs(axes: Axes) -> None:
    axes.set_xlabel("epoch")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _write_title(figure: Figure, run: Run, data: Dataset, height: float) -> None:
    settings = run.settings
    details = (
        f"network with two convolutions, batch size {settings.batch_size}, "
        f"schedule {settings.schedule}, seed {settings.seed}; "
        f"{len(data.train_labels):,} images to learn from, {len(data.test_labels):,} to test on"
    )
    title = f"Loss and accuracy on {data.title}"
    figure.text(0.07, 1 - 0.3 / height, title, fontsize=13, fontweight="bold", va="center")
    figure.text(0.07, 1 - 0.55 / height, details, fontsize=9, color="#444444", va="center")
