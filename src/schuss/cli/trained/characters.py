"""The task of characters: a transformer that learns to continue a text."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LRScheduler

from schuss.cli.errors import OptionError
from schuss.cli.mnist.settings import build_optimizer, build_schedule
from schuss.cli.trained.kept import bytes_kept, kept_in_fewer
from schuss.cli.trained.outcome import Outcome, Trial
from schuss.cli.trained.text import Text, load_text
from schuss.cli.trained.transformer import LENGTH, Transformer, seeded_transformer
from schuss.curvature import HessianDiagonal
from schuss.optimizer import Optimizer

BATCHES: Final = 100
"""In an epoch: the batches are drawn at random, and none ever goes through the whole text."""
SEQUENCES: Final = 8
"""In a batch."""
_TOGETHER: Final = 64  # sequences at a time, for evaluation


def load(_: Path | None) -> Text:
    """Return the text, which comes without files."""
    return load_text()


def check(spec: str, text: Text) -> None:
    """Check that an optimizer can train on text.

    Raises:
        OptionError: It cannot be had, or needs more than gradients.
    """
    optimizer = build_optimizer(spec, seeded_transformer(len(text.characters), 0))
    if isinstance(optimizer, HessianDiagonal):
        name = spec.partition(":")[0]
        raise OptionError(f"--optimizer {name}: no curvature is estimated for it in this task")


def batches(_: Text) -> int:
    """Return how many batches there are in an epoch."""
    return BATCHES


def train_on_text(trial: Trial, text: Text) -> Outcome:
    """Train, and test with the weights that the optimizer wants to be tested with."""
    model = seeded_transformer(len(text.characters), trial.seed).to(trial.weights)
    optimizer = build_optimizer(trial.spec, model)
    schedule = build_schedule(trial.schedule, optimizer, trial.epochs * BATCHES)
    draw = torch.Generator().manual_seed(trial.seed)
    test = _sequences(text.test, len(text.test))
    curve, test_curve, seconds, accuracy = [], [], [], 0.0
    for _ in range(trial.epochs):
        start = time.process_time()
        curve.append(_train_epoch(model, optimizer, schedule, text.train, draw))
        seconds.append(time.process_time() - start)
        loss, accuracy = _evaluate(model, optimizer, test)
        test_curve.append(loss)
        if not math.isfinite(curve[-1]):
            break
    train_loss, _ = _evaluate(model, optimizer, _sequences(text.train, len(text.test)))
    return Outcome(
        trial,
        train_loss,
        test_curve[-1],
        accuracy,
        trial.epochs * BATCHES,
        tuple(curve),
        tuple(test_curve),
        1000 * min(seconds) / BATCHES,
        not math.isfinite(curve[-1]),
        kept_in_fewer(optimizer),
        bytes_kept(optimizer),
    )


def _train_epoch(
    model: Transformer,
    optimizer: Optimizer,
    schedule: LRScheduler,
    text: Tensor,
    draw: torch.Generator,
) -> float:
    """Take the steps of an epoch, and return the mean of their losses."""
    losses = []
    for _ in range(BATCHES):
        starts = torch.randint(len(text) - LENGTH, (SEQUENCES, 1), generator=draw)
        sequences = text[starts + torch.arange(LENGTH + 1)]
        loss = cross_entropy(model(sequences[:, :-1]).flatten(0, 1), sequences[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.detach())
    return torch.stack(losses).mean().item()


def _sequences(text: Tensor, count: int) -> Tensor:
    """Return pieces from all over a text, which do not overlap and have about `count` characters.

    A piece is one longer than what the network sees, so that each of its characters has a next one.
    """
    whole = text.unfold(0, LENGTH + 1, LENGTH)
    return whole[:: max(1, len(text) // count)]


def _evaluate(model: Transformer, optimizer: Optimizer, pieces: Tensor) -> tuple[float, float]:
    """Return mean loss and share of right answers, with the weights to evaluate with."""
    loss = right = 0.0
    with torch.no_grad(), optimizer.evaluating():
        for some in pieces.split(_TOGETHER):
            logits, answers = model(some[:, :-1]).flatten(0, 1), some[:, 1:].flatten()
            loss += cross_entropy(logits, answers, reduction="sum").item()
            right += (logits.argmax(1) == answers).sum().item()
    answered = pieces[:, 1:].numel()
    return loss / answered, right / answered
