"""A step that is interrupted has been taken in full, or not at all."""

from __future__ import annotations

import random
import signal
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import schuss
from schuss.engines.devices.cpu.launch import Launch
from schuss.engines.kernels.staged import StagedStep
from schuss.engines.uninterrupted import uninterrupted

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


class Sent(schuss.Optimizer):
    """Sends a signal in the middle of the second parameter's step, if it is told to."""

    is_sending = False

    def init_state(self, state, group, param):
        state["step"] = 0

    def update(self, state, group, grad, param):
        if self.is_sending and param.dim() > 1 and float(grad.sum()) > 0:
            signal.raise_signal(signal.SIGINT)
        return grad


def test_a_signal_waits_for_the_end_of_a_step_on_the_loop():
    params = [
        nn.Parameter(torch.zeros(2)),
        nn.Parameter(torch.zeros(2, 2)),
        nn.Parameter(torch.zeros(())),
    ]
    create: Any = Sent
    optimizer = create(params, {"lr": 1.0}, foreach=False)
    _step(optimizer, params)
    optimizer.is_sending = True
    with pytest.raises(KeyboardInterrupt):
        _step(optimizer, params)
    assert [param.unique().tolist() for param in params] == [[-2.0]] * 3
    assert [state["step"] for state in optimizer.state.values()] == [2] * 3


def test_a_signal_waits_for_the_end_of_the_stages_of_all_stacks(monkeypatch):
    params = [nn.Parameter(torch.eye(size)) for size in (2, 3, 4)]
    optimizer = schuss.Muon(params, lr=0.5)
    _step(optimizer, params)
    take, counts = StagedStep.__call__, []

    def sent(self: StagedStep) -> None:
        counts.append(1)
        if len(counts) == 2:
            signal.raise_signal(signal.SIGINT)
        take(self)

    monkeypatch.setattr(StagedStep, "__call__", sent)
    with pytest.raises(KeyboardInterrupt):
        _step(optimizer, params)
    assert len(counts) == 3
    twin = [nn.Parameter(torch.eye(size)) for size in (2, 3, 4)]
    other = schuss.Muon(twin, lr=0.5)
    for _ in range(2):
        _step(other, twin)
    assert all(torch.equal(one, two) for one, two in zip(params, twin, strict=True))


def test_a_signal_waits_until_what_is_held_back_has_been_counted(monkeypatch):
    param = nn.Parameter(torch.zeros(2))
    optimizer = schuss.SGD([param], lr=1.0, transforms=[schuss.Accumulate(2)])
    held = schuss.Accumulate.held

    def sent(self: schuss.Accumulate, groups: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        held(self, groups)

    monkeypatch.setattr(schuss.Accumulate, "held", sent)
    with pytest.raises(KeyboardInterrupt):
        _step(optimizer, [param])
    assert optimizer.param_groups[0]["accumulated_calls"] == 1
    _step(optimizer, [param])
    assert param.tolist() == [-1.0, -1.0]


def test_a_plan_that_was_cut_off_half_made_is_made_anew(monkeypatch):
    ends = []
    for is_cut_off in (True, False):
        optimizer, params = _created()
        for _ in range(CALM):
            _step(optimizer, params)
        for group in optimizer.param_groups:
            group["maximize"] = True  # another program, for parameters that are bound already
        if is_cut_off:
            monkeypatch.setattr(Launch, "prepare", _cut_off)
            with pytest.raises(KeyboardInterrupt):
                _step(optimizer, params)
            monkeypatch.undo()
        _step(optimizer, params)
        ends.append(torch.cat([param.detach() for param in params]))
        assert [state["step"] for state in optimizer.state.values()] == [CALM + 1] * 3
    assert torch.equal(*ends)


def _cut_off(self: Launch, grads: Any, indices: Any, arguments: Any, *_: Any) -> None:
    self._arguments = np.zeros((1, len(arguments)))  # and nobody is told where
    raise KeyboardInterrupt


def test_a_signal_that_comes_twice_does_not_wait():
    done = []

    def work() -> None:
        with uninterrupted():
            for time in ("once", "twice"):
                signal.raise_signal(signal.SIGINT)
                done.append(time)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["once"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_thread_that_runs_no_handlers_changes_none():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
