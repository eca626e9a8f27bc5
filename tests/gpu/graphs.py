"""A step is captured in a CUDA graph, and repeated with other rates and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.conformance.trajectories import ONE_RATE
from tests.gpu.machine import Machine
from tests.gpu.notes import Notes
from tests.gpu.rules import Make, rules, with_gradients
from tests.gpu.waits import WARM

REPEATED = 5
SKIPPED = WARM + 2
"""The step in which a gradient scaler has found an infinity."""

APART = 1e-5
"""Of float32, after some steps: a graph computes numbers such as the step count on the device."""


def graphs(machine: Machine, notes: Notes) -> None:
    """Capture a step of every optimizer and transform, and compare repetitions with plain steps."""
    made = rules()
    for name in machine.share(list(made)):
        if machine.is_late:
            return notes.note(name, ok=None, told="no time was left")
        rate = 1.0 if name in ONE_RATE else 1e-3
        with notes.failing_softly(name):
            found = _trained(machine, made[name], rate, captured=True)
            expected = _trained(machine, made[name], rate, captured=False)
            pairs = zip(found, expected, strict=True)
            apart = max(float((a - b).norm() / b.norm()) for a, b in pairs)
            notes.note(name, ok=apart <= APART, value=apart)
    return None


def _trained(machine: Machine, make: Make, rate: float, *, captured: bool) -> list[Tensor]:
    """Return parameters after steps, of which the last ones are repeated by a graph."""
    params = with_gradients(machine)
    lr = torch.tensor(rate, dtype=torch.float64, device=machine.device)
    optimizer: Any = make(params, fused=True, lr=lr, capturable=captured)
    optimizer.grad_scale = torch.ones((), device=machine.device)
    optimizer.found_inf = torch.zeros((), device=machine.device)
    step: Callable[[], object] = optimizer.step
    for number in range(WARM + REPEATED):
        lr.fill_(rate / (1 + number))
        optimizer.grad_scale.fill_(2.0**number)
        optimizer.found_inf.fill_(float(number == SKIPPED))
        for param in params:
            assert param.grad is not None
            param.grad.mul_(-1.5)
        if captured and number == WARM:
            step = machine.captured(step)
        step()
    return [param.detach().double() for param in params]
