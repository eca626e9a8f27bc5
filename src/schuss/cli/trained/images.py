"""The tasks of small images: the network and the training of `schuss mnist`."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import torch
from rich.console import Console

from schuss.cli.mnist.datasets import Dataset, load_digits, load_source
from schuss.cli.mnist.model import seeded_model
from schuss.cli.mnist.progress import shown_download
from schuss.cli.mnist.settings import DEFAULT_BATCH_SIZE, Settings, build_optimizer
from schuss.cli.mnist.sources import SOURCES
from schuss.cli.mnist.training import Run, build_run, evaluate, train
from schuss.cli.trained.kept import bytes_kept, kept_in_fewer
from schuss.cli.trained.outcome import Outcome, Trial

HELD_OUT: Final = 5
"""A sweep trains on all but one in so many of the training images, and is judged by the rest."""

CLOTHES: Final = "fashion-mnist"
LEARNED: Final = 6400
TESTED: Final = 2000
"""Of Fashion-MNIST's images, so many of the first are learned from and tested on."""


def digits(_: Path | None) -> Dataset:
    """Return scikit-learn's digits, which come without files."""
    return load_digits()


def clothes(data_dir: Path | None) -> Dataset:
    """Return some images of Fashion-MNIST.

    Raises:
        DataFileError: A file is missing and cannot be downloaded, or is not what it should be.
    """
    show = partial(shown_download, Console(stderr=True))
    data = load_source(SOURCES[CLOTHES], data_dir, show)
    return replace(
        data,
        train_images=data.train_images[:LEARNED],
        train_labels=data.train_labels[:LEARNED],
        test_images=data.test_images[:TESTED],
        test_labels=data.test_labels[:TESTED],
    )


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


def check(spec: str, _: Dataset) -> None:
    """Check that an optimizer can train on images.

    Raises:
        OptionError: It cannot be had.
    """
    build_optimizer(spec, seeded_model(0))


def batches(data: Dataset) -> int:
    """Return how many batches there are in an epoch."""
    return -(-len(data.train_labels) // DEFAULT_BATCH_SIZE)


def train_on_images(trial: Trial, data: Dataset) -> Outcome:
    """Train, and test with the weights that the optimizer wants to be tested with."""
    settings = Settings(
        trial.schedule, data.name, trial.epochs, DEFAULT_BATCH_SIZE, trial.seed, "cpu"
    )
    run = build_run(trial.contender, trial.spec, settings, data, trial.weights)
    clock = _Clock()
    train(run, data, clock, save=lambda run: None)
    train_loss, _ = evaluate(run, data, data.train_images, data.train_labels)
    points = len(run.curve.train_loss) // run.epochs
    losses = torch.tensor(run.curve.train_loss[: points * run.epochs])
    return Outcome(
        trial,
        train_loss,
        run.curve.test_loss[-1],
        run.curve.test_accuracy[-1],
        trial.epochs * run.steps_per_epoch,
        tuple(losses.reshape(run.epochs, points).mean(1).tolist()),
        tuple(run.curve.test_loss),
        1000 * min(clock.seconds) / run.steps_per_epoch,
        run.curve.diverged_at is not None,
        kept_in_fewer(run.optimizer),
        bytes_kept(run.optimizer),
    )


class _Clock:
    """Takes the time of the processor that each epoch of training takes, without its test."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = self._trained = time.process_time()

    def batches_done(self, run: Run, images: int) -> None:
        self._trained = time.process_time()

    def epoch_done(self, run: Run) -> None:
        self.seconds.append(self._trained - self._began)
        self._began = time.process_time()
