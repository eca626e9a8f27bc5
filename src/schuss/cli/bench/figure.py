"""The figure: how far every contender is above the floor."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from schuss.cli.bench.contenders import CONTENDERS, FLOOR, OUR_ADAMW
from schuss.cli.bench.record import place_of
from schuss.cli.bench.tables import label, number

# Okabe and Ito, *Color Universal Design*, 2008.
_COLORS: Final = {"schuss": "#D55E00", "torch": "#0072B2"}
_OTHERS: Final = "#999999"
_UNDRAWN: Final = (FLOOR, OUR_ADAMW)

_SIDE: Final = 1.85  # inches, as are the others: room for the names of contenders
_PANEL: Final = 1.9
_BAR: Final = 0.26
_HEADER: Final = 1.05
_LABEL: Final = 0.3  # of a row of panels, if there are several
_BETWEEN: Final = 1.05  # rows of panels
_FOOT: Final = 0.55
_NARROWEST: Final = 7.5

_FINE: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
_COARSE: Final = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0)


def figure_files(record: dict[str, Any], *formats: str) -> dict[str, bytes]:
    """Draw a record of steps, and return what files of the figure hold, by their formats."""
    figure, files = draw(record), {}
    for each in formats:
        file = BytesIO()
        figure.savefig(file, format=each)
        files[each] = file.getvalue()
    return files


def draw(record: dict[str, Any]) -> Figure:
    """Return a figure of a record of steps: a row for each optimizer, its workloads in columns."""
    results = record["results"]
    specs = list(dict.fromkeys(result["optimizer"] for result in results))
    rows = [[result for result in results if result["optimizer"] == spec] for spec in specs]
    names = [_drawn(row) for row in rows]
    bars = [_BAR * (len(drawn) + 0.5) for drawn in names]
    columns = max(map(len, rows))
    width = max(_SIDE + _PANEL * columns, _NARROWEST)
    header = _HEADER + (_LABEL if len(rows) > 1 else 0)
    height = header + sum(bars) + _BETWEEN * (len(rows) - 1) + _FOOT
    figure = Figure(figsize=(width, height), dpi=150)
    FigureCanvasAgg(figure)
    edges = {"bottom": _FOOT / height, "top": 1 - header / height, "left": _SIDE / width}
    gaps = {"right": 1 - 0.25 / width, "hspace": _BETWEEN * len(rows) / sum(bars), "wspace": 0.14}
    panels = figure.subplots(
        len(rows), columns, squeeze=False, height_ratios=bars, gridspec_kw=edges | gaps
    )
    for line, row, drawn in zip(panels, rows, names, strict=True):
        for axes, result in zip(line, row, strict=True):
            _plot(axes, result, drawn)
        line[0].set_yticks(range(len(drawn)), [CONTENDERS[name].title for name in drawn])
        if len(specs) > 1:
            text = label(row[0]["optimizer"])
            line[0].annotate(text, (0, 1), (0, 22), xycoords="axes fraction", **_ABOVE)
    _write_title(figure, record, specs, (width, height))
    return figure


def _drawn(row: Sequence[dict[str, Any]]) -> list[str]:
    """Return the contenders that a row of panels has bars of."""
    present = {entry["name"] for result in row for entry in result["contenders"]}
    return [name for name in CONTENDERS if name in present and name not in _UNDRAWN]


def _plot(axes: Axes, result: dict[str, Any], names: Sequence[str]) -> None:
    """Draw a bar for each contender, from the floor to the median, and a line for its quartiles."""
    axes.set_xscale("log")
    found = {entry["name"]: entry["over_floor"] for entry in result["contenders"]}
    lowest, highest = 0.85, 2.0
    for place, name in enumerate(names):
        spread = found.get(name)
        if spread is None:
            axes.annotate("not measured", (1, place), (4, 0), **_TEXT, color="#777777")
            continue
        median, low, high = spread["median"], spread["low"], spread["high"]
        color = _COLORS.get(name.partition("-")[0], _OTHERS)
        strength = 1.0 if name.endswith("fused") else 0.5
        axes.barh(place, median - 1, left=1, height=0.7, color=color, alpha=strength)
        axes.hlines(place, low, high, color="black", linewidth=1)
        axes.annotate(number(median), (max(median, high, 1), place), (4, 0), **_TEXT)
        lowest, highest = min(lowest, low / 1.2), max(highest, high)
    axes.axvline(1, color="black", linewidth=1)
    # The numbers stand to the right of the bars, and take about a third of the panel.
    _tick(axes, lowest, highest * (highest / lowest) ** 0.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_title(result["workload"]["title"], fontsize=9.5)
    axes.set_xlabel("× floor", fontsize=9)


_ABOVE: Final[dict[str, Any]] = {"textcoords": "offset points", "fontweight": "bold"}
_TEXT: Final[dict[str, Any]] = {"textcoords": "offset points", "fontsize": 8, "va": "center"}


def _tick(axes: Axes, lowest: float, highest: float) -> None:
    ticks = _FINE if highest < 30 * lowest else _COARSE
    axes.set_xlim(lowest, highest)
    axes.xaxis.set_major_locator(FixedLocator([t for t in ticks if lowest <= t <= highest]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.tick_params(labelsize=8.5, left=False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _short(value: float) -> str:
    return f"{value:g}" if value < 1000 else f"{value / 1000:g}k"


def _write_title(
    figure: Figure, record: dict[str, Any], specs: Sequence[str], size: tuple[float, float]
) -> None:
    width, height = size
    left = 0.15 / width
    title = (
        f"A step of {label(specs[0])}" if len(specs) == 1 else "A step of each of the optimizers"
    )
    details = (
        f"time over that of a kernel that only moves the bytes; median and quartiles of "
        f"{record['settings']['rounds']} rounds\n"
        f"{place_of(record)}, {record['settings']['threads']} threads, "
        f"torch {record['versions']['torch']}, schuss {record['versions']['schuss']}"
    )
    place: dict[str, Any] = {"va": "top", "ha": "left"}
    figure.text(left, 1 - 0.12 / height, title, fontsize=13, fontweight="bold", **place)
    figure.text(left, 1 - 0.4 / height, details, fontsize=8.5, color="#444444", **place)
