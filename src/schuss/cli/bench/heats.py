"""A heat: contenders timed in turns, so that all of them see the machine in the same moods.

A machine that does other work, or whose memory changes its speed, does so in seconds; a round takes
less. Contenders are therefore compared within a round, and it is these ratios whose median is
reported. Nothing but the step is timed, and every contender has its own tensors.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from schuss.cli.bench.contenders import NotAvailableError
from schuss.cli.bench.memory import extra_memory, release
from schuss.cli.bench.neighbours import Neighbours
from schuss.cli.devices import CPU, wait_for

Step: TypeAlias = Callable[[], object]

_WARM_UP_STEPS: Final = 3
_WARM_UP_SECONDS: Final = 0.02
_LONGEST_BLOCK: Final = 10_000  # steps


@dataclass(frozen=True)
class Settings:
    """How a heat is run.

    Attributes:
        rounds: How often every contender has its turn.
        threads: How many threads they may use.
        block: How long a turn should last, in seconds.
        seed: Determines the order within each round.
        device: The device that they run on.
    """

    rounds: int
    threads: int
    block: float
    seed: int = 0
    device: str = CPU


@dataclass
class Runner:
    """A contender in a heat, and what was measured of it.

    Attributes:
        first_ms: Time of its first step.
        steps: Steps in a turn that are timed; one more comes before them.
        rounds_ms: Time of a step in each round.
        extra_bytes: Memory that a step takes for a while, if that is known.
    """

    first_ms: float
    steps: int = 1
    rounds_ms: list[float] = field(default_factory=list)
    extra_bytes: int | None = None


@dataclass
class Heat:
    """The outcome of a heat.

    Attributes:
        runners: Those that took part, by name.
        left_out: Why others did not, by name.
        others: How many cores other processes used meanwhile, if that is known.
    """

    runners: dict[str, Runner] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    others: float | None = None


class Watcher(Protocol):
    """Is told of the progress of a heat."""

    def prepared(self, name: str) -> None:
        """Take note that a contender has made its first step, or was left out."""

    def round_done(self) -> None:
        """Take note that a round is over."""


def run_heat(
    names: Sequence[str], prepare: Callable[[str], Step], settings: Settings, watcher: Watcher
) -> Heat:
    """Time contenders in turns.

    Args:
        names: The contenders.
        prepare: Returns the step of a contender with everything that it works on.
        settings: How to do it. Without rounds, only the first steps are timed.
        watcher: Sees how it gets on.
    """
    release()  # the tensors of an earlier heat
    heat, steps = Heat(), {}
    for name in names:
        try:
            step = prepare(name)
            heat.runners[name] = Runner(first_ms=_milliseconds(step, settings.device))
            steps[name] = step
        # What an optimizer raises that does not have an engine, or whose engine does not have this.
        except (NotAvailableError, TypeError, ValueError, RuntimeError) as error:
            heat.left_out[name] = str(error).partition("\n")[0]
        watcher.prepared(name)
    if settings.rounds:
        for name, step in steps.items():
            heat.runners[name].steps = steps_in_turn(warm_up(step, settings.device), settings.block)
        neighbours = Neighbours()
        _race(heat.runners, steps, settings, watcher)
        heat.others = neighbours.cores()
        for name, step in steps.items():
            heat.runners[name].extra_bytes = extra_memory(step, settings.device)
    return heat


def orders(names: Sequence[str], rounds: int, seed: int) -> Iterator[list[str]]:
    """Yield the order of each round."""
    shuffle = random.Random(seed)
    for _ in range(rounds):
        order = list(names)
        shuffle.shuffle(order)
        yield order


def _race(
    runners: Mapping[str, Runner], steps: Mapping[str, Step], settings: Settings, watcher: Watcher
) -> None:
    # The collector would run in some turn or other, and not in that of who made the garbage.
    gc.disable()
    try:
        for order in orders(list(steps), settings.rounds, settings.seed):
            for name in order:
                runner, step = runners[name], steps[name]
                step()  # brings its tensors into the caches, where they fit
                runner.rounds_ms.append(_milliseconds(step, settings.device, runner.steps))
            watcher.round_done()
    finally:
        gc.enable()


def warm_up(step: Step, device: str = CPU) -> float:
    """Take some steps, and return the time of one in seconds."""
    times: list[float] = []
    while len(times) < _WARM_UP_STEPS or sum(times) < _WARM_UP_SECONDS:
        times.append(_milliseconds(step, device) / 1e3)
    return statistics.median(times)


def steps_in_turn(seconds: float, block: float) -> int:
    """Return how many steps of `seconds` each a turn of about `block` seconds has.

    Example:
        >>> steps_in_turn(0.0005, block=0.04), steps_in_turn(0.3, block=0.04)
        (80, 1)
    """
    return max(1, min(_LONGEST_BLOCK, round(block / seconds)))


def _milliseconds(step: Step, device: str, times: int = 1) -> float:
    """Return the time of a step, taken `times` times, until the device has done it."""
    wait_for(device)
    start = time.perf_counter()
    for _ in range(times):
        step()
    wait_for(device)
    return (time.perf_counter() - start) * 1e3 / times
