"""The search for a learning rate: further and further, as long as the best one is at the edge."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from schuss.cli.trained.contenders import Contender
from schuss.cli.trained.outcome import SWEEP_SEED, Outcome, Trial
from schuss.cli.trained.tasks import Task

TIE: Final = 0.01
"""Of rates whose losses are closer than this to the least one, the smallest is the best."""
FIRST: Final = (-1, 0, 1)
FURTHEST: Final = 5
"""The powers of the factor between rates: those that are tried first, and where the search ends."""


def best_first(losses: Mapping[int, float]) -> list[int]:
    """Return powers in order: the best one, and then the others by their losses.

    Args:
        losses: The loss at each power, which may be no number.

    Example:
        >>> best_first({-1: 0.7, 0: 0.505, 1: 0.5, 2: math.nan})
        [0, 1, -1, 2]
    """
    known = {p: loss if math.isfinite(loss) else math.inf for p, loss in losses.items()}
    ranked = sorted(known, key=lambda power: (known[power], power))
    best = min(p for p in known if known[p] <= known[ranked[0]] + TIE)
    return [best, *(power for power in ranked if power != best)]


def further(losses: Mapping[int, float]) -> list[int]:
    """Return the powers to try next; none if the best one lies between others, or far away.

    Example:
        >>> further({}), further({-1: 0.3, 0: 0.2, 1: 0.1}), further({-1: 0.3, 0: 0.1, 1: 0.2})
        ([-1, 0, 1], [2], [])
    """
    if not losses:
        return list(FIRST)
    best = best_first(losses)[0]
    beyond = [best - 1] if best == min(losses) else [best + 1] if best == max(losses) else []
    return [power for power in beyond if abs(power) <= FURTHEST]


class Search:
    """A search for the rates of several contenders at once.

    Args:
        task: The task that they are trained on.
        contenders: Those whose rate is to be found.
        data: The data that they may see.
        epochs: Length of each training.
    """

    def __init__(self, task: Task, contenders: list[Contender], data: Any, epochs: int) -> None:
        self.found: list[Outcome] = []
        self._places = {
            task.trial(contender, data, epochs, SWEEP_SEED, power, sweep=True): (contender, power)
            for contender in contenders
            for power in range(-FURTHEST, FURTHEST + 1)
        }
        self._losses: dict[Contender, dict[int, float]] = {each: {} for each in contenders}

    def rounds(self) -> Iterator[list[Trial]]:
        """Yield the trials of each round, whose outcomes are `added` before the next one."""
        while wanted := [
            trial
            for trial, (contender, power) in self._places.items()
            if power in further(self._losses[contender])
        ]:
            yield wanted

    def add(self, outcome: Outcome) -> None:
        """Take note of an outcome."""
        contender, power = self._places[outcome.trial]
        self._losses[contender][power] = outcome.test_loss
        self.found.append(outcome)

    def powers(self, contender: Contender, count: int) -> list[int]:
        """Return which rates are the best of a contender, which has but one if it is not swept."""
        losses = self._losses.get(contender)
        return best_first(losses)[:count] if losses else [0]
