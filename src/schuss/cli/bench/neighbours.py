"""How much other processes were at work while something was measured."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

_STAT: Final = Path("/proc/stat")
_IDLE: Final = (3, 4)  # proc(5): user nice system idle iowait irq softirq steal
_COLUMNS: Final = 8


class Neighbours:
    """Watches the other processes of the machine from when it is made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._busy = _busy_seconds()

    def cores(self) -> float | None:
        """Return how many cores the others have used on average; None if that is not known."""
        now = _busy_seconds()
        if now is None or self._busy is None:
            return None
        return max(0.0, (now - self._busy) / (time.perf_counter() - self._start))


def _busy_seconds() -> float | None:
    """Return the processor time that was not ours, nor that of our children."""
    try:
        fields = _STAT.read_text().partition("\n")[0].split()[1 : 1 + _COLUMNS]
    except OSError:  # not Linux
        return None
    ticks = sum(int(field) for place, field in enumerate(fields) if place not in _IDLE)
    return ticks / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])
