"""Contenders take turns."""

import gc
from collections import Counter

import pytest

from schuss.cli.bench import heats
from schuss.cli.bench.contenders import NotAvailableError
from schuss.cli.bench.heats import Settings, Step, orders, run_heat, steps_in_turn
from tests.cli.bench.records import Silent

NAMES = ["a", "b", "c"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not measure memory, and warm up with three steps."""
    monkeypatch.setattr(heats, "extra_memory", lambda step, device: 7)
    monkeypatch.setattr(heats, "_WARM_UP_SECONDS", 0.0)


class Log:
    """Contenders that only remember who made a step."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def prepare(self, name: str) -> Step:
        return lambda: self.steps.append(name)


def test_every_round_has_every_contender_in_another_order() -> None:
    found = list(orders(NAMES, rounds=20, seed=0))
    assert len(found) == 20
    assert all(sorted(order) == NAMES for order in found)
    assert len({tuple(order) for order in found}) == 6
    assert found == list(orders(NAMES, rounds=20, seed=0))
    assert found != list(orders(NAMES, rounds=20, seed=1))


def test_a_turn_is_an_untimed_step_and_some_timed_ones() -> None:
    log = Log()
    settings = Settings(rounds=5, threads=1, block=1e-9)  # so that there is one of these
    heat = run_heat(NAMES, log.prepare, settings, Silent())
    warm = len(NAMES) * (1 + 3)  # the first, and three to warm up
    turns = log.steps[warm:]
    expected = [name for order in orders(NAMES, 5, 0) for name in order for _ in range(2)]
    assert turns == expected
    assert Counter(log.steps[:warm]) == dict.fromkeys(NAMES, 4)
    for runner in heat.runners.values():
        assert (len(runner.rounds_ms), runner.steps, runner.extra_bytes) == (5, 1, 7)
        assert runner.first_ms > 0


def test_slow_steps_are_timed_less_often() -> None:
    assert steps_in_turn(0.0001, block=0.04) == 400
    assert steps_in_turn(0.025, block=0.04) == 2
    assert steps_in_turn(1.0, block=0.04) == 1
    assert steps_in_turn(1e-9, block=0.04) == 10_000


@pytest.mark.parametrize("kind", [NotAvailableError, ValueError, TypeError, RuntimeError])
def test_who_cannot_take_part_is_left_out_with_the_reason(kind: type[Exception]) -> None:
    def prepare(name: str) -> Step:
        if name == "b":
            raise kind("no such engine\nand more")
        return lambda: None

    heat = run_heat(NAMES, prepare, Settings(rounds=1, threads=1, block=1e-9), Silent())
    assert list(heat.runners) == ["a", "c"]
    assert heat.left_out == {"b": "no such engine"}


def test_a_contender_that_fails_in_its_first_step_is_left_out() -> None:
    def step() -> None:
        raise RuntimeError("no kernel")

    heat = run_heat(["a"], lambda name: step, Settings(1, 1, 1e-9), Silent())
    assert (heat.runners, heat.left_out) == ({}, {"a": "no kernel"})


def test_without_rounds_only_the_first_step_is_made() -> None:
    log = Log()
    heat = run_heat(NAMES, log.prepare, Settings(rounds=0, threads=1, block=1.0), Silent())
    assert log.steps == NAMES
    assert [runner.rounds_ms for runner in heat.runners.values()] == [[], [], []]


def test_the_collector_rests_during_the_rounds_and_works_again_afterwards() -> None:
    seen: list[bool] = []
    run_heat(
        ["a"],
        lambda name: lambda: seen.append(gc.isenabled()),
        Settings(rounds=1, threads=1, block=1e-9),
        Silent(),
    )
    assert seen[-2:] == [False, False]
    assert gc.isenabled()


def test_times_end_when_the_device_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(heats, "wait_for", told.append)
    settings = Settings(rounds=1, threads=1, block=1e-9, device="there")
    run_heat(["a"], lambda name: lambda: told.append("step"), settings, Silent())
    # The first step, three to warm up, and one that is timed after one that is not.
    timed = ["there", "step", "there"]
    assert told == 4 * timed + ["step"] + timed
