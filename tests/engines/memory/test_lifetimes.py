"""Memory that a kernel works on stays until it has ended, whoever lets it go meanwhile."""

from __future__ import annotations

import ctypes
import threading

import pytest
import torch
from torch import nn

import schuss
from schuss.engines.devices.cpu.run import Run
from tests.conformance.strangers import Ruled
from tests.engines.memory.guarded import Memory

MMAP_THRESHOLD = -3
"""The number of that setting in the C library."""

SIZE, STEPS = 400_000, 60


def step_with_a_rule_that_drops(engine: dict[str, bool]) -> list[float]:
    memory = Memory(at_end=True)
    param = nn.Parameter(memory.holding(torch.ones(5)))

    def rule(state, group, grad, weight):
        param.grad = None
        weight.sub_(grad, alpha=0.25)

    optimizer = Ruled([param], rule, **engine)
    for _ in range(5):
        param.grad = memory.holding(torch.full((5,), 2.0))
        optimizer.step()
    values: list[float] = param.tolist()
    return values


@pytest.mark.parametrize("engine", [{"fused": True}, {"foreach": True}, {"foreach": False}])
def test_a_rule_may_drop_the_gradient_that_it_is_given(engine, child):
    # 1 - 5 * 0.25 * 2 = -1.5
    assert child.call(step_with_a_rule_that_drops, engine) == [-1.5] * 5


def step_while_gradients_change() -> int:
    """Return how many different weights there are after steps whose gradients were let go of."""
    # The C library gives memory of this size back to the system at once, and nobody may touch it.
    ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, SIZE)
    param = nn.Parameter(torch.zeros(SIZE))
    optimizer = schuss.SGD([param], lr=1.0, fused=True)
    begins, dropped = threading.Semaphore(0), threading.Semaphore(0)
    ended = threading.Event()

    def drop() -> None:
        while begins.acquire() and not ended.is_set():
            param.grad = None
            dropped.release()

    take = Run.take

    def taking(self: Run, skip: torch.Tensor | None = None) -> bool:
        begins.release()  # the other thread goes on as soon as the kernel lets Python go
        return take(self, skip)

    other = threading.Thread(target=drop)
    other.start()
    try:
        Run.take = taking  # type: ignore[method-assign]
        for _ in range(STEPS):
            param.grad = torch.ones(SIZE)
            optimizer.step()
            dropped.acquire()
    finally:
        Run.take = take  # type: ignore[method-assign]
        ended.set()
        begins.release()
        other.join()
    assert param[0].item() == -STEPS
    return len(param.unique())


def test_another_thread_may_drop_gradients_while_a_kernel_reads_them(child):
    # Not while a step looks them up: torch's own `param.grad` is not safe then.
    assert child.call(step_while_gradients_change) == 1
