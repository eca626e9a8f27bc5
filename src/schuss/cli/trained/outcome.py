"""A trial, which is a training of one optimizer from one seed, and its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import torch

from schuss.cli.contents import Contents
from schuss.cli.mnist.settings import parse_option

SWEEP_SEED: Final = 100
"""The seed of the trials that rates are chosen by, which no trial of a table has."""


@dataclass(frozen=True)
class Trial:
    """A training: one optimizer, from one seed.

    Attributes:
        task: The name of the task.
        contender: The optimizer as it was asked for, with the options beyond its recipe.
        spec: The optimizer with all of its hyper-parameters.
        schedule: The schedule of the learning rate.
        epochs: Length of the training.
        seed: Determines the weights to begin with, and the batches.
        validation: Whether a part of the data to learn from is held out, and takes the place of
            the data to test on.
        variant: The options that the optimizer has in this one of several trainings that are
            compared; empty if it is as it was asked for.
        dtype: The dtype of the weights, by its name in torch.
    """

    task: str
    contender: str
    spec: str
    schedule: str
    epochs: int
    seed: int
    validation: bool = False
    variant: str = ""
    dtype: str = "float32"

    @property
    def rate(self) -> float:
        """Its learning rate."""
        return float(parse_option("--optimizer", self.spec)[1]["lr"])

    @property
    def weights(self) -> torch.dtype:
        """The dtype of the weights."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    @property
    def options(self) -> str:
        """Its hyper-parameters, as the command line takes them."""
        return self.spec.partition(":")[2]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a trial.

    Attributes:
        trial: The trial.
        train_loss: Loss on the data that it learned from, with the weights at the end.
        test_loss: Loss on the data to test on.
        test_accuracy: Share of right answers there.
        steps: How many steps the whole training has.
        curve: Mean loss of the batches of each epoch.
        test_curve: Loss on the data to test on after each epoch.
        milliseconds: Time of the processor for a step, gradients and all, in the fastest epoch.
            Other work on the machine changes it less than the time that passes. Outcomes that
            differ in it alone are equal.
        diverged: Whether the loss ceased to be finite.
        kept: The codec or the dtype of each key of the state that was encoded, or narrower than its
            weights, at the end.
        bytes: Bytes of weights and state at the end, of each number of the network.
    """

    trial: Trial
    train_loss: float
    test_loss: float
    test_accuracy: float
    steps: int
    curve: tuple[float, ...]
    test_curve: tuple[float, ...]
    milliseconds: float = field(compare=False)
    diverged: bool
    kept: Mapping[str, str]
    bytes: float


def read_outcome(fields: Contents) -> Outcome:
    """Return the outcome that a file holds.

    Raises:
        ValueError: A part of it is missing, or cannot be.
    """
    trial = fields.part("trial")
    return Outcome(
        Trial(
            trial.text("task"),
            trial.text("contender"),
            trial.text("spec"),
            trial.text("schedule"),
            trial.whole("epochs", 1),
            trial.whole("seed", 0),
            trial.flag("validation"),
            trial.text("variant"),
            trial.text("dtype"),
        ),
        train_loss=fields.number("train_loss"),
        test_loss=fields.number("test_loss"),
        test_accuracy=fields.number("test_accuracy"),
        steps=fields.whole("steps", 1),
        curve=tuple(fields.numbers("curve")),
        test_curve=tuple(fields.numbers("test_curve")),
        milliseconds=fields.number("milliseconds"),
        diverged=fields.flag("diverged"),
        kept=fields.part("kept").texts(),
        bytes=fields.number("bytes"),
    )
