"""Trainings, each of one optimizer from one seed, in several processes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import torch

from schuss.cli.contents import Contents, parse_json
from schuss.cli.errors import DataFileError, writing_to
from schuss.cli.mnist.datasets import Dataset, load_digits
from schuss.cli.mnist.settings import DEFAULT_BATCH_SIZE, Settings, read_settings
from schuss.cli.mnist.sources import DIGITS
from schuss.cli.mnist.training import Run, build_run, evaluate, train
from schuss.cli.trained.recipes import RECIPES

HELD_OUT: Final = 5
"""A sweep trains on all but one in so many of the training images, and is judged by the rest."""
SWEEP_SEED: Final = 100
FACTORS: Final = (0.3, 1.0, 3.0)


@dataclass(frozen=True)
class Trial:
    """A training: one optimizer, from one seed.

    Attributes:
        name: The optimizer.
        spec: The optimizer with its hyper-parameters.
        settings: The settings of the training, the seed among them.
        validation: Whether images are held out of the training images, and take the place of the
            test images.
    """

    name: str
    spec: str
    settings: Settings
    validation: bool = False


@dataclass(frozen=True)
class Outcome:
    """The outcome of a trial.

    Attributes:
        trial: The trial.
        train_loss: Loss on all training images, with the weights at the end.
        test_loss: Loss on the test images.
        test_accuracy: Share of right answers on the test images.
        curve: Mean loss of the batches of each epoch.
        diverged: Whether the loss ceased to be finite.
    """

    trial: Trial
    train_loss: float
    test_loss: float
    test_accuracy: float
    curve: tuple[float, ...]
    diverged: bool


def reported(names: Iterable[str], epochs: int, seeds: int) -> list[Trial]:
    """Return the trials of the table."""
    return [
        Trial(name, RECIPES[name].spec(name, _steps(epochs)), _settings(name, epochs, seed))
        for seed in range(seeds)
        for name in names
    ]


def swept(names: Iterable[str], epochs: int) -> list[Trial]:
    """Return the trials from which the learning rates are chosen."""
    steps = _steps(epochs, held_out(load_digits()))
    return [
        Trial(
            name,
            RECIPES[name].spec(name, steps, factor),
            _settings(name, epochs, SWEEP_SEED),
            validation=True,
        )
        for name in names
        if RECIPES[name].swept
        for factor in FACTORS
    ]


def outcomes(trials: Sequence[Trial], path: Path, processes: int) -> Iterator[Outcome]:
    """Yield what comes of the trials: first of those in the file, then of the others, as they end.

    Args:
        trials: The trials.
        path: A file with a line (JSON) for each outcome, to which new ones are added.
        processes: How many to train at a time, each in one thread.

    Raises:
        DataFileError: A line of the file is none.
        UserError: The file cannot be written to.
    """
    done = {outcome.trial: outcome for outcome in _read(path)}
    yield from (done[trial] for trial in trials if trial in done)
    with writing_to(path), path.open("a", encoding="utf-8") as file:
        for outcome in _train_all([trial for trial in trials if trial not in done], processes):
            file.write(json.dumps(asdict(outcome)) + "\n")
            file.flush()
            yield outcome


def train_one(trial: Trial) -> Outcome:
    """Train, and test with the weights that the optimizer wants to be tested with."""
    data = held_out(load_digits()) if trial.validation else load_digits()
    run = build_run(trial.name, trial.spec, trial.settings, data)
    train(run, data, _Silent(), save=lambda run: None)
    train_loss, _ = evaluate(run, data, data.train_images, data.train_labels)
    points = len(run.curve.train_loss) // run.epochs
    losses = torch.tensor(run.curve.train_loss[: points * run.epochs])
    return Outcome(
        trial,
        train_loss,
        run.curve.test_loss[-1],
        run.curve.test_accuracy[-1],
        tuple(losses.reshape(run.epochs, points).mean(1).tolist()),
        run.curve.diverged_at is not None,
    )


class _Silent:
    def batches_done(self, run: Run, images: int) -> None:
        pass

    def epoch_done(self, run: Run) -> None:
        pass


def _train_all(trials: Sequence[Trial], processes: int) -> Iterator[Outcome]:
    if processes == 1 or not trials:
        yield from map(train_one, trials)
        return
    pool = ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    )
    with pool:
        for future in as_completed([pool.submit(train_one, trial) for trial in trials]):
            yield future.result()


def _read(path: Path) -> Iterator[Outcome]:
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise DataFileError(f"cannot read {path}: {error.strerror or error}") from None
    for number, line in enumerate(lines, start=1):
        yield _outcome(line, f"{path} is damaged in line {number}")


def _outcome(line: bytes, damaged: str) -> Outcome:
    try:
        fields = Contents(parse_json(line.decode()))
        trial = fields.part("trial")
        return Outcome(
            Trial(
                trial.text("name"),
                trial.text("spec"),
                read_settings(trial.part("settings")),
                trial.flag("validation"),
            ),
            train_loss=fields.number("train_loss"),
            test_loss=fields.number("test_loss"),
            test_accuracy=fields.number("test_accuracy"),
            curve=tuple(fields.numbers("curve")),
            diverged=fields.flag("diverged"),
        )
    except ValueError as error:
        raise DataFileError(
            f"{damaged}: {error}; remove that line, and what it told of is trained again"
        ) from None


def _settings(name: str, epochs: int, seed: int) -> Settings:
    return Settings(RECIPES[name].schedule, DIGITS, epochs, DEFAULT_BATCH_SIZE, seed, "cpu")


def _steps(epochs: int, data: Dataset | None = None) -> int:
    images = len((data or load_digits()).train_labels)
    return epochs * -(-images // DEFAULT_BATCH_SIZE)


def held_out(data: Dataset) -> Dataset:
    """Return the training images alone, of which the last ones are for testing."""
    kept = len(data.train_labels) - len(data.train_labels) // HELD_OUT
    return replace(
        data,
        train_images=data.train_images[:kept],
        train_labels=data.train_labels[:kept],
        test_images=data.train_images[kept:],
        test_labels=data.train_labels[kept:],
    )
