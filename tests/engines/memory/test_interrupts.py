"""A step that is interrupted has been taken in full, or not at all."""

from __future__ import annotations

import random
import signal
from typing import Any

import torch
from torch import nn

import schuss

TRIALS, CALM = 400, 4
SHORTEST = 3e-5
"""Seconds until the first interrupt, about the tenth of a step; the last are 256 times later."""


def interrupted() -> tuple[int, int, list[str]]:
    """Interrupt steps at random moments; return how many were taken, how many not, and faults."""
    signal.signal(signal.SIGALRM, _interrupt)
    optimizer, params = _created()
    path, chance = _path(), random.Random(0)
    steps = taken = 0
    for trial in range(TRIALS):
        # What is remembered of the steps before makes a step 10 times faster: both are tried.
        for _ in range(trial % CALM):
            _step(optimizer, params)
        steps += trial % CALM
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, SHORTEST * 2 ** chance.uniform(0, 8))
                _step(optimizer, params)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            pass
        found = [param[0].item() for param in params]
        if found not in path[steps : steps + 2]:
            return taken, trial - taken, [f"{found} is not of {path[steps : steps + 2]}"]
        now = steps + path[steps : steps + 2].index(found)
        taken += now - steps
        steps = now
        # Whoever looks at the state makes the next step look at everything: not in each.
        counts = [optimizer.state[p].get("step", 0) for p in params] if trial % 7 == 0 else [steps]
        if set(counts) != {steps}:
            return taken, trial - taken, [f"parameters of {steps} steps have counted {counts}"]
    return taken, TRIALS - taken, []


def _created() -> tuple[schuss.Optimizer, list[nn.Parameter]]:
    params = [nn.Parameter(torch.full((size,), 1.0 * size)) for size in (3, 2, 4)]
    groups: list[dict[str, Any]] = [
        {"params": params[:2]},
        {"params": params[2:], "betas": (0.5, 0.5)},
    ]
    return schuss.AdamW(groups, lr=1e-3, fused=True), params


def _path() -> list[list[float]]:
    """Return the first number of each parameter, from step to step."""
    optimizer, params = _created()
    path = [[param[0].item() for param in params]]
    for _ in range(CALM * TRIALS + 1):
        _step(optimizer, params)
        path.append([param[0].item() for param in params])
    return path


def _step(optimizer: schuss.Optimizer, params: list[nn.Parameter]) -> None:
    for param in params:
        param.grad = torch.ones_like(param)
    optimizer.step()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_step_has_been_taken_in_full_or_not_at_all(child):
    taken, not_taken, faults = child.call(interrupted)
    assert not faults
    assert taken > 0
    assert not_taken > 0
