"""Checkpoints: all of a run that the rest of it depends on.

A resumed run ends in the same bits as one that never stopped, on the same machine with the same
number of threads: how a sum is shared among threads changes its last bits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from schuss.cli.errors import CheckpointError
from schuss.cli.mnist.atomic import written_atomically
from schuss.cli.mnist.datasets import Dataset
from schuss.cli.mnist.settings import Settings
from schuss.cli.mnist.training import Curve, Run

_FORMAT: Final = "schuss mnist, checkpoint 1"
_PROGRESS: Final = ("last_epoch", "_step_count", "_last_lr")
"""What a scheduler knows of how far it has come, as opposed to where it goes."""


@dataclass(frozen=True)
class Checkpoint:
    """A run at the end of an epoch.

    Attributes:
        path: The file.
        name: Name of the run.
        spec: Its optimizer and the hyper-parameters.
        settings: What it shares with the other runs.
        data: Digest of the data.
        state: What `restore` needs.
    """

    path: Path
    name: str
    spec: str
    settings: Settings
    data: str
    state: dict[str, Any]


def save(run: Run, data: Dataset, path: Path) -> None:
    """Write a checkpoint, in place of an earlier one."""
    content = {
        "format": _FORMAT,
        "name": run.name,
        "optimizer": run.spec,
        "settings": asdict(run.settings),
        "data": data.sha256,
        "state": {
            "model": run.model.state_dict(),
            "optimizer": run.optimizer.state_dict(),
            "schedule": run.schedule.state_dict(),
            "order": run.order.get_state(),
            "labels": run.labels.get_state(),
            "curve": asdict(run.curve),
        },
    }
    with written_atomically(path) as temporary:
        torch.save(content, temporary)


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: There is none, or it is damaged or of another kind.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # whatever damage does to a zip file of pickles
        raise CheckpointError(
            f"{path} is no checkpoint, or a damaged one ({type(error).__name__})"
        ) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of this version of `schuss mnist`")
    return Checkpoint(
        path,
        name=content["name"],
        spec=content["optimizer"],
        settings=Settings(**content["settings"]),
        data=content["data"],
        state=content["state"],
    )


def restore(run: Run, checkpoint: Checkpoint, data: Dataset) -> None:
    """Take a run to where its checkpoint was.

    If the run has another number of epochs than the checkpoint was meant for, its schedule goes on
    as if the run had always had them.

    Raises:
        CheckpointError: It was trained on other data, or has more epochs than asked for.
    """
    if checkpoint.data != data.sha256:
        raise CheckpointError(
            f"{checkpoint.path} was trained on other images than those found for --data "
            f"{run.settings.data}; name with --data-dir the directory that it was trained on"
        )
    state = checkpoint.state
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.order.set_state(state["order"])
    run.labels.set_state(state["labels"])
    run.curve = Curve(**state["curve"])
    if run.epochs > run.settings.epochs:
        raise CheckpointError(
            f"{checkpoint.path} has {run.epochs} epochs behind it, more than the "
            f"{run.settings.epochs} asked for; give --epochs {run.epochs} or more"
        )
    if run.settings.epochs == checkpoint.settings.epochs:
        run.schedule.load_state_dict(state["schedule"])
    else:
        _move_schedule(run, state["schedule"])


def _move_schedule(run: Run, saved: dict[str, Any]) -> None:
    """Take a schedule of another length to the step of the saved one."""
    run.schedule.load_state_dict({key: saved[key] for key in _PROGRESS})
    rates = run.schedule.get_lr()
    for group, rate in zip(run.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
