"""Checkpoints: all of a run that the rest of it depends on.

A resumed run ends in the same bits as one that never stopped, on the same machine with the same
number of threads: how a sum is shared among threads changes its last bits.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from schuss.cli.contents import Contents, check_form
from schuss.cli.errors import CheckpointError
from schuss.cli.mnist.atomic import written_atomically
from schuss.cli.mnist.datasets import Dataset
from schuss.cli.mnist.settings import Settings, check_name, read_settings
from schuss.cli.mnist.training import Curve, Run, read_curve
from schuss.loading import RULE

_FORMAT: Final = b"schuss mnist, checkpoint 2\n"
_WITHOUT_CHECKSUM: Final = b"PK"  # how the zip file of an earlier version begins
_ANEW: Final = "remove it, and --resume of its directory trains this run anew"
_PROGRESS: Final = ("last_epoch", "_step_count", "_last_lr")
"""The attributes of a scheduler that say how far it has come, and not where it goes."""


@dataclass(frozen=True)
class Checkpoint:
    """A run at the end of an epoch.

    Attributes:
        path: The file.
        name: Name of the run.
        spec: Its optimizer and the hyper-parameters.
        settings: The settings that all runs of the experiment share.
        data: Digest of the data.
        state: The state of the run, for `restore`.
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
    payload = BytesIO()
    torch.save(content, payload)
    with written_atomically(path) as temporary:
        temporary.write_bytes(_FORMAT + _checksum(payload.getvalue()) + payload.getvalue())


def _checksum(payload: bytes) -> bytes:
    return sha256(payload).hexdigest().encode() + b"\n"


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: There is none, or it is damaged or of another kind.
    """
    content = _content(path)
    try:
        return _checkpoint(path, Contents(content))
    except ValueError as error:
        raise CheckpointError(f"{path} is no checkpoint to resume from: {error}; {_ANEW}") from None


def _content(path: Path) -> Any:
    """Return what a file holds, if that is what was written."""
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path} is no regular file")
    try:
        file = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from None
    if file.startswith(_WITHOUT_CHECKSUM):
        raise CheckpointError(
            f"{path} was written by an earlier version of `schuss mnist`, without a checksum; "
            f"{_ANEW}"
        )
    if not file.startswith(_FORMAT):
        raise CheckpointError(f"{path} is no checkpoint of this version of `schuss mnist`")
    begin = len(_FORMAT) + len(_checksum(b""))
    payload = file[begin:]
    if file[len(_FORMAT) : begin] != _checksum(payload):
        raise CheckpointError(f"{path} is damaged: its checksum is that of another file; {_ANEW}")
    try:
        return torch.load(BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever is in there, somebody else has written it
        raise CheckpointError(f"{path} is no checkpoint ({type(error).__name__})") from error


def _checkpoint(path: Path, fields: Contents) -> Checkpoint:
    """Return a checkpoint whose fields are what they ought to be, but for the state."""
    name, spec = fields.text("name"), fields.text("optimizer")
    check_name(name, spec)
    settings, data = read_settings(fields.part("settings")), fields.text("data")
    state = fields.part("state")
    parts: dict[str, Any] = {
        **{key: state.field(key, dict, "mapping") for key in ("model", "optimizer", "schedule")},
        **{key: state.field(key, Tensor, "tensor") for key in ("order", "labels")},
        "curve": asdict(read_curve(state.part("curve"))),
    }
    return Checkpoint(path, name, spec, settings, data, parts)


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
    try:
        _restore_state(run, checkpoint.state)
    except Exception as error:  # whatever a state does that is that of another run
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{checkpoint.path} does not hold a state of {run.spec}: {reason}; {_ANEW}"
        ) from error
    if run.epochs > run.settings.epochs:
        raise CheckpointError(
            f"{checkpoint.path} has {run.epochs} epochs behind it, more than the "
            f"{run.settings.epochs} asked for; give --epochs {run.epochs} or more"
        )
    if run.settings.epochs == checkpoint.settings.epochs:
        run.schedule.load_state_dict(_schedule(run, checkpoint.state["schedule"]))
    else:
        _move_schedule(run, checkpoint.state["schedule"])


def _restore_state(run: Run, state: dict[str, Any]) -> None:
    check_form(state["model"], run.model.state_dict(), "model")
    saved = Contents(state["optimizer"]).field("param_groups", list, "list")
    groups = run.optimizer.state_dict()["param_groups"]
    if not any(RULE in group for group in saved if isinstance(group, dict)):  # an earlier version
        groups = [{k: v for k, v in group.items() if k != RULE} for group in groups]
    check_form(saved, groups, "groups")
    _schedule(run, state["schedule"])
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.order.set_state(state["order"])
    run.labels.set_state(state["labels"])
    run.curve = Curve(**state["curve"])
    steps = run.curve.step[-1] if run.curve.step else 0
    if run.curve.diverged_at is None and steps != run.epochs * run.steps_per_epoch:
        raise ValueError(f"{run.epochs} epochs are not {steps} steps")


def _schedule(run: Run, saved: dict[str, Any]) -> dict[str, Any]:
    """Return of a saved schedule what a schedule of this kind has."""
    like = run.schedule.state_dict()
    known = {key: saved[key] for key in like if key in saved or key in _PROGRESS}
    check_form(known, {key: like[key] for key in known}, "schedule")
    return known


def _move_schedule(run: Run, saved: dict[str, Any]) -> None:
    """Take a schedule of another length to the step of the saved one."""
    run.schedule.load_state_dict({key: saved[key] for key in _PROGRESS})
    rates = run.schedule.get_lr()
    for group, rate in zip(run.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
