"""Steps in which the host does not wait for the device."""

from __future__ import annotations

from tests.conformance.trajectories import ON_THE_HOST
from tests.gpu.machine import Machine
from tests.gpu.notes import Notes
from tests.gpu.rules import rules, with_gradients

WARM = 8
"""Steps before one that must not wait: RAdam takes another form in the sixth."""

DECOMPOSING = ("klshampoo", "psgdkron", "shampoo", "soap", "splus")
"""Optimizers that decompose matrices, or solve for one."""


def waits(machine: Machine, notes: Notes) -> None:
    """Take a warm step of every optimizer and transform in which nothing may wait."""
    made = rules()
    for name in machine.share(list(made)):
        if machine.is_late:
            return notes.note(name, ok=None, told="no time was left")
        if name in ON_THE_HOST:
            notes.note(name, ok=None, told="waits, to read sums over parameters")
            continue
        if name in DECOMPOSING:
            notes.note(name, ok=None, told="waits, in functions of torch that may fail")
            continue
        with notes.failing_softly(name):
            optimizer = made[name](with_gradients(machine), fused=True)
            for _ in range(WARM):
                optimizer.step()
            with machine.no_waits():
                optimizer.step()
            notes.note(name, ok=True)
    return None
