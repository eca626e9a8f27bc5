"""Timing contenders in turns, so that whatever else happens on the machine happens to all."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.gpu.machine import Machine
from tests.gpu.notes import Notes

ROUNDS = 9
WARM = 3
"""Steps before the first is timed: state is made, and kernels are compiled."""

BLOCK_SECONDS = 0.02
"""What a contender is timed for at once: long beside the wait at the end."""


@dataclass
class Times:
    """The times of a contender, one for each round.

    Attributes:
        whole: Seconds of a step, until the device is done.
        host: Seconds until the call returns, while the device has nothing else to do.
    """

    whole: list[float] = field(default_factory=list)
    host: list[float] = field(default_factory=list)

    @property
    def step(self) -> float:
        """The median time of a step."""
        return statistics.median(self.whole)

    def ratio(self, other: Times) -> float:
        """Return how many times faster it was than another, the median over the rounds."""
        pairs = zip(other.whole, self.whole, strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)


def race(
    machine: Machine, notes: Notes, title: str, steps: Mapping[str, Callable[[], object]]
) -> dict[str, Times]:
    """Return the times of contenders by name; of those that fail, the error is noted.

    Args:
        machine: The machine.
        notes: Takes errors.
        title: What they are timed at.
        steps: The step of each.
    """
    counts: dict[str, int] = {}
    for name, step in steps.items():
        with notes.failing_softly(f"{title}: {name}"):
            for _ in range(1 if machine.rehearses else WARM):
                step()
            once, _ = machine.seconds(step, 1)
            counts[name] = 1 if machine.rehearses else min(max(1, int(BLOCK_SECONDS / once)), 200)
    found = {name: Times() for name in counts}
    for number in range(1 if machine.rehearses else ROUNDS):
        if number >= 3 and machine.is_late:
            break
        names = list(counts)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            _, host = machine.seconds(steps[name], 1)
            whole, _ = machine.seconds(steps[name], counts[name])
            found[name].whole.append(whole)
            found[name].host.append(host)
    return found
