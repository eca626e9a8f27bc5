"""Lines and markers that tell the runs of a figure apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

# Okabe and Ito, *Color Universal Design*, 2008, without the yellow, which white paper swallows.
_COLORS: Final = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: Final = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Style:
    """The style of a run: no two of 28 are alike, and none are told apart by color alone."""

    color: str
    marker: str
    dashes: str

    @classmethod
    def of(cls, index: int) -> Style:
        """Return the style of one run of several."""
        turn, place = divmod(index, len(_COLORS))
        return cls(_COLORS[place], _MARKERS[place], _DASHES[turn % len(_DASHES)])

    def line(self) -> dict[str, Any]:
        """Return the arguments for `plot`."""
        return {
            "color": self.color,
            "linestyle": self.dashes,
            "linewidth": 1.6,
            "marker": self.marker,
            "markersize": 5,
            "markeredgecolor": "white",
            "markeredgewidth": 0.6,
        }
