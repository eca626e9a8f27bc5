"""The settings of an experiment, which its runs share, and the optimizer of each run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from schuss.cli.contents import Contents
from schuss.cli.devices import check_device
from schuss.cli.errors import OptionError
from schuss.cli.mnist.model import seeded_model
from schuss.cli.mnist.sources import DIGITS, NAMES
from schuss.optimizer import Optimizer
from schuss.registry import create_optimizer, parse_spec
from schuss.schedules import create_schedule

DEFAULT_OPTIMIZERS: Final = (
    "sgd:lr=0.05,momentum=0.9,nesterov=True",
    "adamw:lr=3e-3,weight_decay=0.05",
    "radam:lr=5e-3",
    "adabelief:lr=1e-2",
    "sophia:lr=5e-4",
)
DEFAULT_SCHEDULE: Final = "cosine"
DEFAULT_BATCH_SIZE: Final = 32


def default_epochs(data: str) -> int:
    """Return how many epochs a data set takes; the digits are few, and take more."""
    return 10 if data == DIGITS else 3


def default_device() -> str:
    """Return the device to train on if none is asked for."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class Settings:
    """The settings that the runs of an experiment share.

    Attributes:
        schedule: The schedule of the learning rate, and its options.
        data: Name of the data set.
        epochs: How many times each run goes through the data.
        batch_size: Images per step.
        seed: Determines the weights to begin with and the order of the images.
        device: Where to train.
    """

    schedule: str
    data: str
    epochs: int
    batch_size: int
    seed: int
    device: str


@dataclass(frozen=True)
class Experiment:
    """Some runs and their settings.

    Attributes:
        optimizers: The optimizer of each run and its hyper-parameters, by the name of the run.
        settings: The settings that the runs share.
    """

    optimizers: Mapping[str, str]
    settings: Settings


def named_runs(specs: Iterable[str]) -> dict[str, str]:
    """Give each run the name of its optimizer, with a number where there are several of it.

    Raises:
        OptionError: A text is malformed, or two say the same.

    Example:
        >>> named_runs(["sgd", "adam:lr=1e-3", "adam:lr=1e-2"])
        {'sgd': 'sgd', 'adam-1': 'adam:lr=1e-3', 'adam-2': 'adam:lr=1e-2'}
    """
    specs = list(specs)
    parsed = [parse_option("--optimizer", spec) for spec in specs]
    for index, meaning in enumerate(parsed):
        if meaning in parsed[:index]:
            raise OptionError(f"--optimizer {specs[index]} is given twice; leave one of them out")
    names = [name for name, _ in parsed]
    return {
        name if names.count(name) == 1 else f"{name}-{names[: index + 1].count(name)}": spec
        for index, (name, spec) in enumerate(zip(names, specs, strict=True))
    }


def read_settings(fields: Contents) -> Settings:
    """Return the settings that a file holds.

    Raises:
        ValueError: One is missing, or cannot be.
    """
    settings = Settings(
        schedule=fields.text("schedule"),
        data=fields.text("data"),
        epochs=fields.whole("epochs", 1),
        batch_size=fields.whole("batch_size", 1),
        seed=fields.whole("seed", 0),
        device=fields.text("device"),
    )
    if settings.data not in NAMES:
        raise ValueError(f"settings.data is {settings.data!r}, which is none of {', '.join(NAMES)}")
    return settings


def check_name(name: str, spec: str) -> None:
    """Check that a run has the name of its optimizer, or that with a number.

    Its files are called so, and a name from elsewhere could be a way to other directories.

    Raises:
        ValueError: It has another name.
    """
    optimizer, _ = parse_option("optimizer", spec)
    own = re.fullmatch(r"[a-z0-9_]+", optimizer, re.ASCII)
    if not own or not re.fullmatch(rf"{optimizer}(-[1-9][0-9]{{0,5}})?", name, re.ASCII):
        raise ValueError(f"{name!r} is no name for a run of {spec!r}")


def parse_option(option: str, spec: str) -> tuple[str, dict[str, Any]]:
    """Return the name, in lower case, and the options that `spec` writes for `option`.

    Raises:
        OptionError: It is malformed.
    """
    try:
        name, options = parse_spec(spec)
    except ValueError as error:
        raise OptionError(f"{option}: {error}") from None
    return name.lower(), options


def build_optimizer(spec: str, model: nn.Module) -> Optimizer:
    """Create the optimizer of a run.

    Raises:
        OptionError: There is no such optimizer, or it does not take these hyper-parameters.
    """
    name, options = parse_option("--optimizer", spec)
    try:
        return create_optimizer(name, model, **options)
    except (TypeError, ValueError) as error:
        raise OptionError(f"--optimizer {spec}: {error}") from None


def build_schedule(spec: str, optimizer: Optimizer, total_steps: int) -> LRScheduler:
    """Create the schedule of a run.

    Raises:
        OptionError: There is no such schedule, or it does not take these options.
    """
    name, options = parse_option("--schedule", spec)
    try:
        return create_schedule(name, optimizer, total_steps=total_steps, **options)
    except (TypeError, ValueError) as error:
        raise OptionError(f"--schedule {spec}: {error}") from None


def check(experiment: Experiment) -> None:
    """Check an experiment as far as is possible without its data.

    Raises:
        OptionError: The data set, an optimizer, the schedule or the device cannot be had.
    """
    if experiment.settings.data not in NAMES:
        raise OptionError(f"--data {experiment.settings.data} is none of {', '.join(NAMES)}")
    check_rules(experiment)
    check_device(experiment.settings.device)


def check_rules(experiment: Experiment) -> None:
    """Check the optimizers and the schedule.

    Raises:
        OptionError: One of them cannot be had.
    """
    endless = 1 << 40  # steps: how many there will be depends on the data
    for spec in experiment.optimizers.values():
        optimizer = build_optimizer(spec, seeded_model(0))
        build_schedule(experiment.settings.schedule, optimizer, endless)
