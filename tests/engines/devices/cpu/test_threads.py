"""Steps from several threads, and in forked processes."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

import schuss


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def large() -> tuple[nn.Parameter, schuss.Optimizer]:
    """Return a parameter that more than one thread steps."""
    param = nn.Parameter(torch.ones(3_000_000))
    param.grad = torch.ones_like(param)
    return param, schuss.SGD([param], lr=0.25, fused=True)


def test_two_threads_may_step_two_optimizers_at_once():
    pairs = [large() for _ in range(2)]

    def steps(optimizer: schuss.Optimizer) -> None:
        for _ in range(20):
            optimizer.step()

    threads = [threading.Thread(target=steps, args=[optimizer]) for _, optimizer in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((param == -4.0).all() for param, _ in pairs)


def step_after_the_fork(queue: Any) -> None:
    torch.set_num_threads(1)  # torch's own threads hang in a forked process
    param, optimizer = large()
    torch.set_num_threads(2)
    optimizer.step()
    torch.set_num_threads(1)
    queue.put(bool((param == 0.75).all()))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning")  # JAX's, if another test has used it
def test_a_forked_process_may_step_after_its_parent_did():
    _, optimizer = large()
    optimizer.step()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=step_after_the_fork, args=[queue])
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert queue.get()
