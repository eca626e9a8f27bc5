"""An experiment and its directory: run by run, with all that is needed to go on after a stop."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from schuss.cli.contents import Contents, read_json
from schuss.cli.errors import CheckpointError, OptionError, writing_to
from schuss.cli.mnist import checkpoint
from schuss.cli.mnist.atomic import written_atomically
from schuss.cli.mnist.checkpoint import Checkpoint
from schuss.cli.mnist.datasets import Dataset
from schuss.cli.mnist.progress import Progress
from schuss.cli.mnist.report import write_record
from schuss.cli.mnist.settings import (
    Experiment,
    Settings,
    check_name,
    check_rules,
    parse_option,
    read_settings,
)
from schuss.cli.mnist.training import Run, build_run, train

MANIFEST: Final = "experiment.json"


@dataclass(frozen=True)
class Plan:
    """The runs to train, and the checkpoints to begin them from.

    Attributes:
        experiment: The runs.
        checkpoints: Where to take up those that have begun, by the name of the run.
        alone: Whether this is one run of a larger experiment, whose manifest it leaves alone.
    """

    experiment: Experiment
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    alone: bool = False


def resumed(path: Path, optimizers: list[str] | None, given: dict[str, Any]) -> Plan:
    """Return the plan to go on with an earlier experiment, or with one run of it.

    Args:
        path: The directory of the experiment, or the checkpoint of the run.
        optimizers: The optimizers that the command line names, if it does.
        given: The settings that the command line names.

    Raises:
        CheckpointError: There is nothing to resume.
        OptionError: The command line contradicts what was begun.
    """
    if path.is_dir():
        begun = _read_manifest(path / MANIFEST)
        found = {name: path / f"{name}.pt" for name in begun.optimizers}
        checkpoints = {name: checkpoint.read(file) for name, file in found.items() if file.exists()}
        for name, saved in checkpoints.items():
            _check_belongs(saved, name, begun)
    else:
        single = checkpoint.read(path)
        begun = Experiment({single.name: single.spec}, single.settings)
        checkpoints = {single.name: single}
    try:
        check_rules(begun)
    except OptionError as error:
        file = path / MANIFEST if path.is_dir() else path
        raise CheckpointError(f"{file} cannot be resumed: {error}") from None
    _check_optimizers(path, begun, optimizers)
    settings = _merged(path, begun.settings, given)
    return Plan(replace(begun, settings=settings), checkpoints, alone=not path.is_dir())


def prepare(plan: Plan, data: Dataset) -> list[Run]:
    """Return the runs of a plan, each new or where its checkpoint left it.

    Raises:
        OptionError: An optimizer or the schedule cannot be had.
        CheckpointError: A checkpoint does not fit.
    """
    runs = []
    for name, spec in plan.experiment.optimizers.items():
        run = build_run(name, spec, plan.experiment.settings, data)
        if name in plan.checkpoints:
            checkpoint.restore(run, plan.checkpoints[name], data)
        runs.append(run)
    return runs


def open_directory(plan: Plan, out: Path) -> None:
    """Make the directory of an experiment, and put there what resuming will need.

    Files of an earlier experiment there are removed, except for those to be resumed.

    Raises:
        UserError: The directory cannot be made or written to.
    """
    with writing_to(f"--out {out}"):
        out.mkdir(parents=True, exist_ok=True)
        if not plan.alone:
            _remove_earlier(plan, out)
            _write_manifest(plan.experiment, out / MANIFEST)


def execute(runs: list[Run], data: Dataset, out: Path, progress: Progress) -> None:
    """Train what is left to train of each run, and write its checkpoint and its record."""
    on_device = data.to(runs[0].settings.device)
    for run in runs:
        path = out / f"{run.name}.pt"
        progress.run_begins(run, len(data.train_labels))
        train(run, on_device, progress, partial(checkpoint.save, data=data, path=path))
        if not path.exists():  # finished before, and resumed into another directory
            checkpoint.save(run, data, path)
        write_record(run, data, out / f"{run.name}.json")
        progress.run_ends(run)


def _read_manifest(path: Path) -> Experiment:
    try:
        fields = Contents(read_json(path))
        optimizers = fields.part("optimizers").texts()
        for name, spec in optimizers.items():
            check_name(name, spec)
        if not optimizers:
            raise ValueError("it names no optimizers")
        return Experiment(optimizers, read_settings(fields.part("settings")))
    except FileNotFoundError:
        raise CheckpointError(
            f"{path.parent} holds no {path.name}: --resume takes the --out directory of an earlier "
            "`schuss mnist`, or one of its .pt files"
        ) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}; resume from a .pt file") from None


def _check_belongs(saved: Checkpoint, name: str, begun: Experiment) -> None:
    """Check that a checkpoint is of the run of an experiment that has its name."""
    expected = {"name": name, "optimizer": begun.optimizers[name], **asdict(begun.settings)}
    found = {"name": saved.name, "optimizer": saved.spec, **asdict(saved.settings)}
    for key, value in expected.items():
        if key not in {"epochs", "device"} and found[key] != value:
            raise CheckpointError(
                f"{saved.path} is of another run: its {key} is {found[key]!r}, not {value!r}; "
                "remove it, and this run begins anew"
            )


def _write_manifest(experiment: Experiment, path: Path) -> None:
    content = {
        "optimizers": dict(experiment.optimizers),
        "settings": asdict(experiment.settings),
    }
    with written_atomically(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _remove_earlier(plan: Plan, out: Path) -> None:
    try:
        earlier = _read_manifest(out / MANIFEST).optimizers
    except CheckpointError:
        return
    keep = {saved.path.resolve() for saved in plan.checkpoints.values()}
    for name in earlier:
        for path in (out / f"{name}.pt", out / f"{name}.json"):
            if path.with_suffix(".pt").resolve() not in keep:
                path.unlink(missing_ok=True)


def _check_optimizers(path: Path, begun: Experiment, optimizers: list[str] | None) -> None:
    if not optimizers:
        return
    asked = [parse_option("--optimizer", spec) for spec in optimizers]
    there = [parse_option("--optimizer", spec) for spec in begun.optimizers.values()]
    if any(spec not in there for spec in asked) or any(spec not in asked for spec in there):
        raise OptionError(
            f"--optimizer {' --optimizer '.join(optimizers)} contradicts {path}, which was begun "
            f"with {' and '.join(begun.optimizers.values())}; leave the option out to go on with "
            "that, or leave out --resume to begin anew"
        )


def _merged(path: Path, begun: Settings, given: dict[str, Any]) -> Settings:
    """Return the settings of what was begun, with the epochs and the device that were given."""
    for name, value in given.items():
        stored = getattr(begun, name)
        if name not in {"epochs", "device"} and value != stored:
            raise OptionError(
                f"--{name.replace('_', '-')} {value} contradicts {path}, which was begun with "
                f"{stored}; leave the option out to go on with that, or leave out --resume to "
                "begin anew"
            )
    return replace(begun, **given)
