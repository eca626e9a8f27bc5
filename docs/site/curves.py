"""The curves of all trainings, read from a figure of docs/trained.md, and drawn for one."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

_COMMENT = re.compile(r"<!-- (.+?) -->")
_TICKS = re.compile(r'<g id="xtick_\d+">(.*?)\n    </g>', re.DOTALL)
_TICK = re.compile(r'<use [^>]*?x="([\d.]+)".*?<!-- ([\d.]+) -->', re.DOTALL)
_NAME = re.compile(r'<g id="ytick_\d+">.*?<!-- (\w+) -->', re.DOTALL)
_DOTS = re.compile(r'<g id="PathCollection_\d+">(.*?)(?=\n   <g id="|\n  </g>)', re.DOTALL)
_DOT = re.compile(r'<use [^>]*?x="([-\d.]+)" y="([-\d.]+)"')

INK, FAINT, ACCENT = "#010101", "#020202", "#030303"
"""Colors to draw with, for which the page puts its own."""
_COLORS = {
    INK: "var(--color-foreground-secondary)",
    FAINT: "var(--color-background-border)",
    ACCENT: "var(--color-brand-primary)",
}


def losses(svg: str) -> dict[str, list[float]]:
    """Return the loss of every epoch for every optimizer, as `schuss trained` drew it.

    The figure has a row of dots for each optimizer, from the first epoch to the last, on an axis
    whose labels say where which loss is.
    """
    axes = svg[svg.index('<g id="axes_1">') : svg.index('<g id="axes_2">')]
    labeled = (_TICK.search(tick) for tick in _TICKS.findall(axes))
    ticks = [(float(tick[1]), math.log(float(tick[2]))) for tick in labeled if tick]
    (left, low), (right, high) = ticks[0], ticks[-1]
    slope = (high - low) / (right - left)
    rows = [_DOT.findall(dots) for dots in _DOTS.findall(axes)]
    found = zip(_NAME.findall(axes), rows, strict=True)
    return {
        name: [math.exp(low + (float(x) - left) * slope) for x, _ in dots] for name, dots in found
    }


def recorded(path: Path) -> dict[str, list[float]]:
    """Return the losses that a figure shows."""
    return losses(path.read_text(encoding="utf-8"))


def figure(name: str, curves: Mapping[str, Sequence[float]]) -> str:
    """Return the curve of one optimizer before those of all others, as SVG in the page's colors."""
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.size": 9}):
        drawn = Figure(figsize=(6.4, 2.8))
        axes = drawn.subplots(gridspec_kw={"left": 0.1, "right": 0.99, "bottom": 0.16, "top": 0.98})
        for other, curve in curves.items():
            epochs = range(1, len(curve) + 1)
            if other != name:
                axes.plot(epochs, curve, color=FAINT, linewidth=0.8, zorder=1)
            else:
                axes.plot(epochs, curve, "o-", color=ACCENT, linewidth=2, markersize=4, zorder=3)
        axes.set_yscale("log")
        axes.set_ylim(top=4)
        axes.set_xticks(range(1, max(map(len, curves.values())) + 1))
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("epoch", color=INK)
        axes.set_ylabel("training loss", color=INK)
        axes.tick_params(which="both", colors=INK, length=0)
        axes.spines[:].set_visible(False)
        axes.grid(axis="y", color=FAINT, linewidth=0.5, linestyle=":")
        written = io.StringIO()
        drawn.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return inline(written.getvalue(), f"Training loss of {name} by epoch, before all others")


def inline(svg: str, label: str) -> str:
    """Return a figure as an element of a page: with its colors, and of any width."""
    element = svg[svg.index("<svg ") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r' (?:width|height)="[\d.]+pt"', "", element, count=2)
    for color, shown in _COLORS.items():
        element = element.replace(color, shown)
    element = element.replace("<svg ", f'<svg role="img" aria-label="{label}" class="curve" ', 1)
    return re.sub(r"\s*\n\s*", " ", element)
