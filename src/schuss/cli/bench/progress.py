"""Live progress: a bar on a terminal, a line for each heat elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from schuss.cli.bench.heats import Watcher


class Progress(Watcher, Protocol):
    """Shows how a benchmark gets on."""

    def begins(self, title: str, units: int) -> None:
        """Show that something begins which has `units` contenders and rounds."""


class Lines:
    """A line for each heat, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def begins(self, title: str, units: int) -> None:
        """Print a line."""
        self.console.print(title, markup=False, highlight=False, soft_wrap=True)

    def prepared(self, name: str) -> None:
        """Do nothing: there is a line for the heat."""

    def round_done(self) -> None:
        """Do nothing: there is a line for the heat."""


class LiveBars:
    """A bar for each heat; that of the present one tells which contender is prepared."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        self.task: TaskID | None = None

    def begins(self, title: str, units: int) -> None:
        """Add a bar, and complete the one before."""
        self.finish()
        self.task = self.bars.add_task(title, total=units, note="")
        self.bars.refresh()

    def prepared(self, name: str) -> None:
        """Move the bar."""
        self._advance(f"{name} is ready")

    def round_done(self) -> None:
        """Move the bar."""
        self._advance("timing")

    def finish(self) -> None:
        """Complete the bar."""
        if self.task is not None:
            total = self.bars.tasks[self.task].total
            self.bars.update(self.task, completed=total, note="")
            self.bars.stop_task(self.task)
            self.bars.refresh()

    def _advance(self, note: str) -> None:
        if self.task is not None:
            self.bars.update(self.task, advance=1, note=note)
            # Only now, between turns: a thread that draws would take time from what is timed.
            self.bars.refresh()


@contextmanager
def shown_progress(console: Console) -> Iterator[Progress]:
    """Yield what shows the progress, as the console can."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Bars(*columns, console=console, auto_refresh=False) as bars:
        live = LiveBars(bars)
        yield live
        live.finish()
