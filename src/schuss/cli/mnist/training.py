"""One run: the network, its optimizer, and the measurements on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LRScheduler

from schuss.cli.contents import Contents
from schuss.cli.mnist.datasets import Dataset
from schuss.cli.mnist.model import seeded_model
from schuss.cli.mnist.settings import Settings, build_optimizer, build_schedule
from schuss.curvature import HessianDiagonal, SampledDiagonal
from schuss.optimizer import Optimizer
from schuss.optimizers import AdaHessian, SophiaH

_CURVATURE_INTERVAL: Final = 10  # steps; k of Sophia's Algorithm 3
_HUTCHINSON_INTERVAL: Final[dict[type[Optimizer], int]] = {
    AdaHessian: 1,
    SophiaH: _CURVATURE_INTERVAL,
}
"""Steps from one estimate of the Hessian's diagonal to the next, as in the papers."""
_POINTS_PER_EPOCH: Final = 20
_TEST_BATCH: Final = 500


@dataclass
class Curve:
    """The measurements of a run, in columns.

    Attributes:
        step: Steps taken, about twenty times an epoch.
        train_loss: Mean loss since the `step` before.
        train_accuracy: Share of right answers since the `step` before.
        test_loss: Mean loss on the test images after each epoch.
        test_accuracy: Share of right answers on the test images after each epoch.
        seconds: Time that each epoch of training took.
        diverged_at: The `step` at which the loss was no longer finite, if there was one.
    """

    step: list[int] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    test_loss: list[float] = field(default_factory=list)
    test_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    diverged_at: int | None = None


def read_curve(fields: Contents) -> Curve:
    """Return the curve that a file holds.

    Raises:
        ValueError: A column is missing, or they cannot be of one run.
    """
    curve = Curve(
        step=fields.wholes("step", 1),
        train_loss=fields.numbers("train_loss"),
        train_accuracy=fields.numbers("train_accuracy"),
        test_loss=fields.numbers("test_loss"),
        test_accuracy=fields.numbers("test_accuracy"),
        seconds=fields.numbers("seconds"),
        diverged_at=fields.optional_whole("diverged_at", 1),
    )
    steps, epochs = curve.step, curve.seconds
    points = {len(column) for column in (steps, curve.train_loss, curve.train_accuracy)}
    tests = {len(column) for column in (epochs, curve.test_loss, curve.test_accuracy)}
    if len(points) > 1 or len(tests) > 1 or len(steps) < len(epochs):
        raise ValueError("the columns of the curve do not belong together")
    if steps != sorted(set(steps)):
        raise ValueError("the steps of the curve do not ascend")
    if not all(seconds > 0 for seconds in epochs):
        raise ValueError("an epoch of the curve took no time")
    return curve


@dataclass
class Run:
    """A run of the experiment, and how far it has come.

    Attributes:
        name: Its name, unique in the experiment.
        spec: Its optimizer and the hyper-parameters, as they were asked for.
        settings: The settings that all runs of the experiment share.
        steps_per_epoch: Number of batches.
        model: The network.
        optimizer: The optimizer.
        schedule: The schedule of the learning rate.
        order: Draws the order of the images.
        labels: Draws labels for optimizers that estimate curvature.
        curve: The measurements so far.
    """

    name: str
    spec: str
    settings: Settings
    steps_per_epoch: int
    model: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    order: torch.Generator
    labels: torch.Generator
    curve: Curve = field(default_factory=Curve)

    @property
    def label(self) -> str:
        """The name of the run in figures and tables: the optimizer and its options."""
        name, _, options = self.spec.partition(":")
        return f"{name} {options.replace(',', ', ')}".strip()

    @property
    def epochs(self) -> int:
        """Number of epochs done."""
        return len(self.curve.seconds)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.curve.diverged_at is not None or self.epochs >= self.settings.epochs


class Watcher(Protocol):
    """Is told of the progress of a run."""

    def batches_done(self, run: Run, images: int) -> None:
        """Take note of a new point on the curve of the training, `images` images after the last."""

    def epoch_done(self, run: Run) -> None:
        """Take note that an epoch is done and tested."""


def build_run(
    name: str,
    spec: str,
    settings: Settings,
    data: Dataset,
    dtype: torch.dtype = torch.float32,
) -> Run:
    """Return a run that has not begun.

    Runs with the same seed begin with the same weights, rounded to `dtype`, and see the same
    batches.

    Raises:
        OptionError: The optimizer or the schedule cannot be had.
    """
    model = seeded_model(settings.seed).to(settings.device, dtype)
    steps_per_epoch = -(-len(data.train_labels) // settings.batch_size)
    optimizer = build_optimizer(spec, model)
    schedule = build_schedule(settings.schedule, optimizer, settings.epochs * steps_per_epoch)
    return Run(
        name,
        spec,
        settings,
        steps_per_epoch,
        model,
        optimizer,
        schedule,
        order=torch.Generator().manual_seed(settings.seed),
        labels=torch.Generator().manual_seed(settings.seed),
    )


def train(run: Run, data: Dataset, watcher: Watcher, save: Callable[[Run], None]) -> None:
    """Train until all epochs are done, or the loss is no longer finite.

    Args:
        run: The run, new or resumed.
        data: The data set, on the run's device.
        watcher: Sees how it gets on.
        save: Called after each epoch.
    """
    while not run.finished:
        _train_epoch(run, data, watcher)
        _test(run, data)
        save(run)
        watcher.epoch_done(run)


def _train_epoch(run: Run, data: Dataset, watcher: Watcher) -> None:
    start = time.perf_counter()
    interval = math.ceil(run.steps_per_epoch / _POINTS_PER_EPOCH)
    first = run.epochs * run.steps_per_epoch
    losses: list[Tensor] = []
    right: list[Tensor] = []
    seen = 0
    for step, (images, labels) in enumerate(_batches(run, data), start=first + 1):
        loss, correct = _train_step(run, images, labels, step)
        losses.append(loss * len(labels))
        right.append(correct)
        seen += len(labels)
        if (step - first) % interval == 0 or step - first == run.steps_per_epoch:
            run.curve.step.append(step)
            run.curve.train_loss.append(torch.stack(losses).sum().item() / seen)
            run.curve.train_accuracy.append(torch.stack(right).sum().item() / seen)
            watcher.batches_done(run, seen)
            if not math.isfinite(run.curve.train_loss[-1]):
                run.curve.diverged_at = step
                break
            losses, right, seen = [], [], 0
    run.curve.seconds.append(time.perf_counter() - start)


def _batches(run: Run, data: Dataset) -> Iterator[tuple[Tensor, Tensor]]:
    order = torch.randperm(len(data.train_labels), generator=run.order)
    for indices in order.to(data.train_labels.device).split(run.settings.batch_size):
        yield _pixels(data.train_images[indices], data), data.train_labels[indices]


def _pixels(images: Tensor, data: Dataset) -> Tensor:
    return (images.float() - data.mean) / data.deviation


def _train_step(run: Run, images: Tensor, labels: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Take one step; return the loss before it, and how many answers were right."""
    optimizer = run.optimizer
    hutchinson = _HUTCHINSON_INTERVAL.get(type(optimizer))
    if (
        not hutchinson
        and isinstance(optimizer, SampledDiagonal)
        and step % _CURVATURE_INTERVAL == 1
    ):
        _estimate_curvature(run, optimizer, images)
    logits = run.model(images)
    loss = cross_entropy(logits, labels)
    if hutchinson and isinstance(optimizer, HessianDiagonal) and (step - 1) % hutchinson == 0:
        _estimate_hessian(run, optimizer, loss)
    loss.backward()
    run.optimizer.step()
    run.optimizer.zero_grad()
    run.schedule.step()
    return loss.detach(), (logits.detach().argmax(1) == labels).sum()


def _estimate_curvature(run: Run, optimizer: SampledDiagonal, images: Tensor) -> None:
    logits = run.model(images)
    # Drawn on the CPU, from a generator that a checkpoint carries from device to device.
    share = logits.detach().softmax(1).cpu()
    if not share.isfinite().all():
        return
    labels = torch.multinomial(share, 1, generator=run.labels).squeeze(1)
    cross_entropy(logits, labels.to(logits.device)).backward()
    optimizer.update_hessian(len(images))
    run.optimizer.zero_grad()


def _estimate_hessian(run: Run, optimizer: HessianDiagonal, loss: Tensor) -> None:
    # The signs come from torch's own generator, which is to be left as it was; the seed comes from
    # one that a checkpoint carries.
    seed = int(torch.randint(1 << 62, (), generator=run.labels))
    with torch.random.fork_rng(devices=[loss.device] if loss.is_cuda else []):
        torch.manual_seed(seed)
        optimizer.estimate_hessian(loss)


def evaluate(run: Run, data: Dataset, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return mean loss and share of right answers, with the weights to evaluate with.

    Args:
        run: The run.
        data: The data set that it was trained on.
        images: The images to answer for.
        labels: The right answers.
    """
    loss = right = 0.0
    pairs = zip(images.split(_TEST_BATCH), labels.split(_TEST_BATCH), strict=True)
    with torch.no_grad(), run.optimizer.evaluating():
        for batch, answers in pairs:
            logits = run.model(_pixels(batch, data))
            loss += cross_entropy(logits, answers, reduction="sum").item()
            right += (logits.argmax(1) == answers).sum().item()
    return loss / len(labels), right / len(labels)


def _test(run: Run, data: Dataset) -> None:
    loss, accuracy = evaluate(run, data, data.test_images, data.test_labels)
    run.curve.test_loss.append(loss)
    run.curve.test_accuracy.append(accuracy)
