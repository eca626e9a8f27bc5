"""The report of a run: a record as JSON, and a row in the summary."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.table import Table
from rich.text import Text
from torch import Tensor

import schuss
from schuss.cli.mnist.atomic import written_atomically
from schuss.cli.mnist.datasets import Dataset
from schuss.cli.mnist.training import Run


def write_record(run: Run, data: Dataset, path: Path) -> None:
    """Write the record of a run as JSON: its configuration, versions, curve, and where it ended."""
    record = {
        "name": run.name,
        "config": _config(run),
        "data": {
            "title": data.title,
            "train_images": len(data.train_labels),
            "test_images": len(data.test_labels),
            "sha256": data.sha256,
        },
        "versions": {
            "schuss": schuss.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "threads": torch.get_num_threads(),
        },
        "curve": asdict(run.curve),
        "final": final(run, len(data.train_labels)),
    }
    with written_atomically(path) as temporary:
        text = json.dumps(as_json(record), indent=1, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def final(run: Run, images: int) -> dict[str, Any]:
    """Return where a run ended, in a few numbers.

    Args:
        run: The run, after an epoch at least.
        images: Number of images to learn from.
    """
    curve = run.curve
    seconds = sum(curve.seconds)
    best = max(curve.test_accuracy)
    per_step = images / run.steps_per_epoch
    return {
        "epochs": run.epochs,
        "steps": curve.step[-1],
        "train_loss": curve.train_loss[-1],
        "test_loss": curve.test_loss[-1],
        "test_accuracy": curve.test_accuracy[-1],
        "best_test_accuracy": best,
        "best_epoch": curve.test_accuracy.index(best) + 1,
        "seconds": seconds,
        "samples_per_second": curve.step[-1] * per_step / seconds,
        "diverged_at": curve.diverged_at,
    }


def as_json(value: object) -> Any:
    """Return `value` in what JSON has: NaN and infinities as null, the unknown as text.

    Example:
        >>> as_json({"betas": (0.9, float("nan")), "lr": torch.tensor(0.5)})
        {'betas': [0.9, None], 'lr': 0.5}
    """
    if isinstance(value, Tensor):
        return as_json(value.tolist())
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return repr(value)


def summary(runs: Iterable[Run], data: Dataset) -> Table:
    """Return a table of where the runs ended, the best first."""
    table = Table(
        title=f"{data.title}: {len(data.test_labels):,} images to test on",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("optimizer", overflow="fold")
    for heading in (
        "train\nloss",
        "test\nloss",
        "test\naccuracy",
        "best\naccuracy",
        "in\nepoch",
        "time\n(s)",
        "samples\nper s",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in sorted(runs, key=rank):
        figures = final(run, len(data.train_labels))
        diverged = figures["diverged_at"]
        note = Text("" if diverged is None else f"\ndiverged at step {diverged}", style="red")
        table.add_row(
            Text(run.label) + note,
            f"{figures['train_loss']:.4f}",
            f"{figures['test_loss']:.4f}",
            f"{figures['test_accuracy']:.2%}",
            f"{figures['best_test_accuracy']:.2%}",
            f"{figures['best_epoch']}",
            f"{figures['seconds']:.1f}",
            f"{figures['samples_per_second']:.0f}",
        )
    return table


def rank(run: Run) -> tuple[bool, float]:
    """Return a key that sorts runs: the best first, those that diverged last."""
    return run.curve.diverged_at is not None, -run.curve.test_accuracy[-1]


def _config(run: Run) -> dict[str, Any]:
    """Return all that a run was given, and what its optimizer made of it."""
    total_steps = run.settings.epochs * run.steps_per_epoch
    hyperparameters = dict(run.optimizer.defaults)
    return {
        "optimizer": run.spec,
        **asdict(run.settings),
        "steps_per_epoch": run.steps_per_epoch,
        "total_steps": total_steps,
        "parameters": sum(param.numel() for param in run.model.parameters()),
        "class": type(run.optimizer).__name__,
        "hyperparameters": hyperparameters,
    }
