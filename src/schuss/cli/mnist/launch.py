"""The command `schuss mnist`, from its options to the figure."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
import typer
from rich.console import Console

from schuss.cli.errors import writing_to
from schuss.cli.mnist import datasets, settings
from schuss.cli.mnist.experiment import Plan, execute, open_directory, prepare, resumed
from schuss.cli.mnist.figure import write_figure
from schuss.cli.mnist.progress import shown_download, shown_progress
from schuss.cli.mnist.report import summary
from schuss.cli.mnist.settings import Experiment, Settings, named_runs
from schuss.cli.mnist.sources import DIGITS

_PAGE = 110  # columns of a table that goes to a file; rich takes 80
_INTERRUPTED = 130  # what shells report for SIGINT


def launch(
    optimizers: list[str] | None,
    given: dict[str, Any],
    *,
    resume: Path | None,
    data_dir: Path | None,
    out: Path,
) -> None:
    """Train, and write the checkpoints, the records and the figure.

    Args:
        optimizers: The optimizers that the command line names, if it does.
        given: The settings that the command line names, by their name in `Settings`.
        resume: A directory or a checkpoint to resume from, or None.
        data_dir: A directory to look for data in, before the cache.
        out: Where to write, or the checkpoint beside which to write.

    Raises:
        UserError: Something that the user can put right.
    """
    console = _console()
    plan = resumed(resume, optimizers, given) if resume else Plan(_fresh(optimizers, given))
    settings.check(plan.experiment)
    data = datasets.load(plan.experiment.settings.data, data_dir, partial(shown_download, console))
    runs = prepare(plan, data)
    out = out.parent if out.is_file() else out
    open_directory(plan, out)
    # Without this cuDNN may add up in another order each time, and resuming would show it.
    torch.backends.cudnn.deterministic = True
    try:
        with writing_to(f"--out {out}"), shown_progress(console, runs) as progress:
            execute(runs, data, out, progress)
    except KeyboardInterrupt:
        target = resume if plan.alone else out
        typer.echo(f"\nschuss: stopped; go on with: schuss mnist --resume {target}", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    with writing_to(f"--out {out}"):
        write_figure(runs, data, out / (f"{runs[0].name}.png" if plan.alone else "curves.png"))
    console.print(summary(runs, data))
    console.print(f"figure, records and checkpoints: {out}", markup=False, soft_wrap=True)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, _PAGE))


def _fresh(optimizers: list[str] | None, given: dict[str, Any]) -> Experiment:
    data = given.get("data", DIGITS)
    defaults = {
        "data": data,
        "schedule": settings.DEFAULT_SCHEDULE,
        "epochs": settings.default_epochs(data),
        "batch_size": settings.DEFAULT_BATCH_SIZE,
        "seed": 0,
        "device": settings.default_device(),
    }
    return Experiment(
        named_runs(optimizers or settings.DEFAULT_OPTIMIZERS), Settings(**{**defaults, **given})
    )
