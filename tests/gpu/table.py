"""The table of times: optimizers of schuss beside those of others, and beside a copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import nn

import schuss
from schuss import Optimizer
from schuss.cli.bench.cases import Case
from schuss.cli.bench.contenders import (
    CONTENDERS,
    OUR_CHAIN,
    OUR_FUSED,
    TORCH_CHAIN,
    TORCH_COMPILE,
    TORCH_FUSED,
)
from tests.algorithms import TRACED
from tests.conformance.trajectories import ONE_RATE
from tests.gpu.machine import Machine
from tests.gpu.models import model
from tests.gpu.notes import Notes
from tests.gpu.race import Times, race

Step: TypeAlias = Callable[[], object]
Build: TypeAlias = Callable[[Sequence[nn.Parameter]], Any]

COPY = "copy"
"""A contender that copies from the device to itself, which is the bandwidth that there is."""

COPIED = 1 << 28
"""Numbers of float32 that it copies: more than any cache holds."""

OURS = "schuss"

HALVES = (torch.float32, torch.bfloat16)

PER_BYTE = 1.05
"""How much longer than AdamW another rule may take for a byte."""


class Goal(NamedTuple):
    """The speed that has to be reached.

    Attributes:
        beside: A contender.
        times: How many times as fast as that.
        of_copy: Which share of the bandwidth of a copy.
    """

    beside: str
    times: float
    of_copy: float = 0.92

    @property
    def told(self) -> str:
        """The goal in words."""
        shares = f" and {self.of_copy:.2f} of a copy" if self.of_copy else ""
        return f"at least {self.times:g} x {self.beside}{shares}"


SMALL = ("3,000 small", "MNIST CNN")
"""Models whose steps take the time of the host, not of memory."""


def adamw(machine: Machine, notes: Notes) -> None:
    """Time AdamW on models of all sizes."""
    for name in ("GPT-2 small", "one of 2^28", "Llama 1.1B", *SMALL):
        goal = Goal(TORCH_FUSED, 2.0, 0.0) if name in SMALL else Goal(TORCH_FUSED, 1.0)
        for dtype in HALVES:
            builds = _of("adamw", OUR_FUSED, TORCH_FUSED, "torch-foreach")
            builds |= {} if machine.rehearses else _of_others()
            _timed(machine, notes, "adamw", name, dtype, builds, goal)


def several(machine: Machine, notes: Notes) -> None:
    """Time rules of several passes, and a chain of transforms beside torch's three calls."""
    goal = Goal(TORCH_CHAIN, 2.0)
    chain = _of("adamw", OUR_CHAIN, TORCH_CHAIN)
    chain[OURS] = chain.pop(OUR_CHAIN)
    _timed(machine, notes, "clip, adamw, mean", "GPT-2 small", torch.float32, chain, goal)
    for rule in ("lamb", "stableadamw"):
        builds = _of(rule, OUR_FUSED) | _of("adamw", TORCH_CHAIN)
        _timed(machine, notes, rule, "GPT-2 small", torch.float32, builds, goal)
    goal = Goal("torch-foreach", 5.0, 0.0)
    for rule in ("adafactor", "came"):
        builds = _of(rule, OUR_FUSED) | _of("adafactor", "torch-foreach")
        _timed(machine, notes, rule, "Llama 1.1B", torch.float32, builds, goal)


def storage(machine: Machine, notes: Notes) -> None:
    """Time AdamW with state in fewer bytes beside torch's in float32."""
    for kept in ("bf16", "8bit", "4bit"):
        for dtype in HALVES:
            builds = {OURS: partial(_keeping, kept), **_of("adamw", TORCH_FUSED)}
            goal = Goal(TORCH_FUSED, 1.0, 0.0)
            with machine.keeping_codes():
                _timed(machine, notes, f"adamw {kept}", "GPT-2 small", dtype, builds, goal)


def elementwise(machine: Machine, notes: Notes) -> None:
    """Time every other rule of one pass beside AdamW, for each byte that they move."""
    names = [name for name in TRACED if name != "adamw"]
    size = 3 if machine.rehearses else 6
    for at in range(0, size if machine.rehearses else len(names), size):
        some = names[at : at + size]
        params = model("one of 2^26", torch.float32, machine)
        made: dict[str, Optimizer] = {}
        for name in ("adamw", *some):
            with notes.failing_softly(name):
                lr = 1.0 if name in ONE_RATE else 1e-6
                optimizer = schuss.create_optimizer(name, params, lr=lr, fused=True)
                if all(cohort.passes == 1 for cohort in optimizer.explain().cohorts):
                    made[name] = optimizer
        times = race(machine, notes, "elementwise", {n: o.step for n, o in made.items()})
        for name in made.keys() & times.keys() - {"adamw"}:
            bytes_of_both = moved(made[name]) / moved(made["adamw"])
            per_byte = times["adamw"].ratio(times[name]) / bytes_of_both
            ok = machine.verdict(per_byte <= PER_BYTE)
            wanted = f"at most {PER_BYTE:g} x AdamW's time for a byte"
            notes.note(name, ok=ok, value=per_byte, ms=1e3 * times[name].step, wanted=wanted)
        del made, params
        machine.forget()
        if machine.is_late:
            return notes.note("the rest", ok=None, told="no time was left")
    return None


def compiled(machine: Machine, notes: Notes) -> None:
    """Time AdamW as `torch.compile` makes it."""
    if machine.rehearses:
        return  # its compiler takes a minute
    builds = _of("adamw", OUR_FUSED, TORCH_COMPILE)
    for name in ("one of 2^28", "GPT-2 small"):
        _timed(machine, notes, "adamw", name, torch.float32, builds, Goal(TORCH_COMPILE, 1.0))


def moved(optimizer: Optimizer) -> float:
    """Return the bytes that a step has to move."""
    cohorts = optimizer.explain().cohorts
    return sum((cohort.bytes_per_number or 0) * cohort.numbers for cohort in cohorts)


def _timed(
    machine: Machine,
    notes: Notes,
    rule: str,
    name: str,
    dtype: torch.dtype,
    builds: Mapping[str, Build],
    goal: Goal,
) -> None:
    """Time contenders with the parameters of a model, which they share."""
    case = f"{rule}, {name}, {str(dtype).removeprefix('torch.')}"
    if machine.is_late:
        return notes.note(case, ok=None, told="no time was left")
    with notes.failing_softly(case):
        params = model(name, dtype, machine)
        steps: dict[str, Step] = {COPY: _copy(machine)}
        size = 0.0
        for who, build in builds.items():
            with notes.failing_softly(f"{case}: {who}"):
                made = build(params)
                steps[who] = made.step
                size = moved(made) if who == OURS else size
        _write(machine, notes, case, race(machine, notes, case, steps), size, goal)
    machine.forget()
    return None


def _write(
    machine: Machine, notes: Notes, case: str, times: Mapping[str, Times], size: int, goal: Goal
) -> None:
    """Note the times of all contenders, and where ours stand among them."""
    copied = 2 * 4 * (COPIED if not machine.rehearses else 1 << 10) / times[COPY].step
    for who, each in times.items():
        facts: dict[str, Any] = {"ms": 1e3 * each.step, "host_us": 1e6 * min(each.host)}
        if who == COPY:
            notes.note(f"{case}: {who}", ok=None, **facts, gbps=copied / 1e9)
            continue
        facts |= {"gbps": size / each.step / 1e9, "of_copy": size / each.step / copied}
        ok = None
        if who == OURS:
            facts["wanted"] = goal.told
        if goal.beside in times:
            facts |= {"beside": goal.beside, "times_as_fast": each.ratio(times[goal.beside])}
            if who == OURS:
                reached = facts["times_as_fast"] >= goal.times
                ok = machine.verdict(reached and facts["of_copy"] >= goal.of_copy)
        notes.note(f"{case}: {who}", ok=ok, **facts)


def _of(rule: str, *names: str) -> dict[str, Build]:
    """Return contenders that `schuss bench` has, too."""
    case = Case(rule, states=0)  # how much they move, they are not asked for
    return {OURS if name == OUR_FUSED else name: partial(_built, name, case) for name in names}


def _built(name: str, case: Case, params: Sequence[nn.Parameter]) -> Any:
    return CONTENDERS[name].build(params, case)


def _keeping(storage: str, params: Sequence[nn.Parameter]) -> Optimizer:
    return schuss.AdamW(params, lr=1e-6, state_storage=storage, fused=True)


def _of_others() -> dict[str, Build]:
    """Return the contenders that happen to be installed, and are written for a GPU."""
    found: dict[str, Build] = {}
    try:
        import optimi

        found["optimi"] = lambda params: optimi.AdamW(
            params, lr=1e-3, betas=(0.9, 0.999), triton=True, kahan_sum=False
        )
    except ImportError:
        pass
    return found


def _copy(machine: Machine) -> Step:
    source = torch.empty(1 << 10 if machine.rehearses else COPIED, device=machine.device)
    return partial(torch.empty_like(source).copy_, source)
