"""Live progress: bars on a terminal, a line for each epoch elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column

from schuss.cli.mnist.files import Bar
from schuss.cli.mnist.training import Run, Watcher


class Progress(Watcher, Protocol):
    """Shows how an experiment gets on."""

    def run_begins(self, run: Run, images: int) -> None:
        """Show a run with `images` images an epoch, new or resumed."""

    def run_ends(self, run: Run) -> None:
        """Show that nothing is left to do for a run."""


class Lines:
    """One line for each epoch, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.images = 0
        self.width = 0

    def run_begins(self, run: Run, images: int) -> None:
        """Say that a run was resumed, if it was."""
        self.images = images
        if run.epochs:
            self._print(f"{run.name}: resumed after epoch {run.epochs}/{run.settings.epochs}")

    def batches_done(self, run: Run, images: int) -> None:
        """Do nothing: the line comes at the end of the epoch."""

    def epoch_done(self, run: Run) -> None:
        """Print a line."""
        curve, seconds = run.curve, run.curve.seconds[-1]
        left = (run.settings.epochs - run.epochs) * seconds
        self._print(
            f"{run.name}: epoch {run.epochs}/{run.settings.epochs}, "
            f"train loss {curve.train_loss[-1]:.4f}, test loss {curve.test_loss[-1]:.4f}, "
            f"test accuracy {curve.test_accuracy[-1]:.2%}, "
            f"{self.images / seconds:.0f} samples/s, {left:.0f} s left"
        )

    def run_ends(self, run: Run) -> None:
        """Say that a run diverged, if it did."""
        if run.curve.diverged_at is not None:
            self._print(f"{run.name}: the loss is not finite at step {run.curve.diverged_at}")

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveBars:
    """A bar for each run, and one for all of them."""

    def __init__(self, bars: Bars, runs: list[Run]) -> None:
        self.bars = bars
        self.since = 0.0
        self.task = TaskID(0)
        todo = [run.settings.epochs * run.steps_per_epoch for run in runs]
        done = [run.epochs * run.steps_per_epoch for run in runs]
        self.whole = bars.add_task(
            "all runs", total=sum(todo), completed=sum(done), figures="", visible=len(runs) > 1
        )

    def run_begins(self, run: Run, images: int) -> None:
        """Add a bar."""
        steps = run.settings.epochs * run.steps_per_epoch
        done = run.epochs * run.steps_per_epoch
        self.task = self.bars.add_task(run.name, total=steps, completed=done, figures="")
        self.since = time.perf_counter()

    def batches_done(self, run: Run, images: int) -> None:
        """Move the bars."""
        curve, now = run.curve, time.perf_counter()
        steps = curve.step[-1] - (curve.step[-2] if len(curve.step) > 1 else 0)
        tested = f"{curve.test_accuracy[-1]:7.2%}" if curve.test_accuracy else "      -"
        figures = (
            f"loss {curve.train_loss[-1]:.4f}  train {curve.train_accuracy[-1]:7.2%}  "
            f"test {tested}  {images / (now - self.since):6.0f} samples/s"
        )
        self.bars.update(self.task, advance=steps, figures=figures)
        self.bars.advance(self.whole, steps)
        self.since = now

    def epoch_done(self, run: Run) -> None:
        """Start the clock anew, so that testing does not count as training."""
        self.since = time.perf_counter()

    def run_ends(self, run: Run) -> None:
        """Say that a run diverged, if it did."""
        if run.curve.diverged_at is not None:
            skipped = run.settings.epochs * run.steps_per_epoch - run.curve.diverged_at
            self.bars.update(self.task, figures=f"diverged at step {run.curve.diverged_at}")
            self.bars.advance(self.whole, skipped)
        self.bars.stop_task(self.task)


@contextmanager
def shown_progress(console: Console, runs: list[Run]) -> Iterator[Progress]:
    """Yield what shows the progress of `runs`, as the console can."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
        TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True)),
        TimeRemainingColumn(compact=True),
    )
    with Bars(*columns, console=console, expand=True) as bars:
        yield LiveBars(bars, runs)


class DownloadBar:
    """A bar for a download, in the form that pooch wants."""

    def __init__(self, bars: Bars, task: TaskID) -> None:
        self.bars = bars
        self.task = task

    @property
    def total(self) -> int:
        """Number of bytes to come."""
        return int(self.bars.tasks[0].total or 0)

    @total.setter
    def total(self, total: int) -> None:
        self.bars.update(self.task, total=total)

    def update(self, count: int) -> None:
        """Count `count` bytes more."""
        self.bars.advance(self.task, count)

    def reset(self) -> None:
        """Count from 0 again."""
        self.bars.update(self.task, completed=0)

    def close(self) -> None:
        """Do nothing more."""


@contextmanager
def shown_download(console: Console, name: str, url: str) -> Iterator[Bar]:
    """Show the download of the file `name` from `url`."""
    if not console.is_terminal:
        console.print(f"downloading {url}", markup=False, highlight=False, soft_wrap=True)
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        yield DownloadBar(bars, bars.add_task("", total=None))
