"""Kernels: who shares one, and that threads and forks find no lock held."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
import torch
from torch import nn

import schuss
from schuss import Optimizer
from schuss.engines.fused import cache, kernels, machine
from tests.engines.fused.test_cache import NAMES, TEXT

NAMES_OF_ALL_KINDS = [
    '"""\nraise SystemExit\n"""',
    "../../../up/and\\away",
    "long" * 100,
    "größer ✨",
    "",
]


def explained(optimizer):
    (cohort,) = optimizer.explain().cohorts
    return cohort


@pytest.mark.parametrize("name", NAMES_OF_ALL_KINDS)
def test_a_class_of_any_name_with_the_same_rule_has_the_same_kernel(name):
    param = nn.Parameter(torch.ones(3))
    adam = explained(schuss.Adam([param]))
    misses = kernels.kernel.cache_info().misses
    same = type("Same", (schuss.Adam,), {})
    same.__name__ = same.__qualname__ = name
    mine = same([param], fused=True)
    assert (explained(mine).path, explained(mine).kernel) == (adam.path, adam.kernel)
    assert kernels.kernel.cache_info().misses == misses
    assert re.fullmatch(r"step_float32_[0-9a-f]{16}\.py", adam.path.name)
    assert str(mine.explain()).startswith(same.__name__ + "\n")


class Kept(Optimizer):
    """A rule whose state has a key, and which makes another."""

    keys = "average", "made"

    def init_state(self, state, group, param):
        state[self.keys[0]] = torch.zeros_like(param)

    def update(self, state, group, grad, param):
        state[self.keys[1]] = grad * 0.5
        return state[self.keys[0]].lerp_(grad, 0.5)


@pytest.mark.parametrize("key", [*NAMES_OF_ALL_KINDS, "\x00\ud800"])
def test_keys_of_a_state_are_not_in_the_kernel(key, monkeypatch):
    def stepped():
        param = nn.Parameter(torch.ones(3))
        param.grad = torch.ones(3)
        optimizer = Kept([param], {"lr": 1.0}, fused=True)
        optimizer.step()
        assert param.tolist() == [0.5] * 3  # 1 - 1 * (0 + 0.5 * (1 - 0))
        assert set(optimizer.state[param]) == set(Kept.keys)
        return explained(optimizer)

    plain = stepped()
    monkeypatch.setattr(Kept, "keys", (key, key + "!"))
    assert (stepped().path, stepped().kernel) == (plain.path, plain.kernel)


def test_threads_that_begin_at_once_compile_a_kernel_once(monkeypatch, tmp_path):
    monkeypatch.setenv("SCHUSS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernels, "_made", {})
    begin, compiled, compiles, found = threading.Barrier(4), machine.compiled, [], []

    def counted(text, *more):
        compiles.append(text)
        return compiled(text, *more)

    def ask():
        begin.wait()
        found.append(kernels.functions("test", TEXT, NAMES))

    monkeypatch.setattr(machine, "compiled", counted)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compiles == [TEXT]
    assert len(found) == 4
    assert {tuple(addresses) for _, addresses in found} == {tuple(found[0][1])}


def test_an_explanation_shows_the_source_of_a_kernel_that_no_file_has(monkeypatch):
    monkeypatch.setattr(kernels, "_made", {})
    monkeypatch.setattr(kernels, "kernel", kernels.kernel.__wrapped__)
    monkeypatch.setattr("schuss.engines.fused.binding.kernel", kernels.kernel)
    monkeypatch.setattr(cache, "directory", lambda: None)
    cohort = explained(schuss.SGD([nn.Parameter(torch.ones(3))], fused=True))
    assert cohort.path is None
    assert "kernel in memory, since no file of it could be kept\n" in str(cohort)
    assert "v3 = v1 + a0 * v0" in str(cohort)


FORK = """
import os, sys, threading, time
import schuss, torch
from schuss.engines.fused import kernels, machine

compiled, begun = machine.compiled, threading.Event()

def slowly(*arguments):
    begun.set()
    made = compiled(*arguments)
    time.sleep(0.5)
    return made

machine.compiled = slowly

def step(optimizer_class):
    param = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    param.grad = torch.ones(2)
    optimizer_class([param], lr=0.5, fused=True).step()
    return param.tolist()

def forked(held, hold, optimizer_class):
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if not child:
        print(step(optimizer_class), flush=True)
        os._exit(0)
    thread.join()
    print(step(optimizer_class), os.waitpid(child, 0)[1], flush=True)

def compile_with_numba():
    from numba.core.compiler_lock import global_compiler_lock
    with global_compiler_lock:
        numba_begun.set()
        time.sleep(0.5)

numba_begun = threading.Event()
forked(begun, lambda: step(schuss.AdamW), schuss.SGD)
forked(numba_begun, compile_with_numba, schuss.Signum)
"""


def kill_all_of(process):
    """Kill what is left of a process and its children, which would wait for ever."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_fork_while_a_thread_compiles_finds_no_lock_held(tmp_path):
    environment = {"SCHUSS_CACHE_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", FORK]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        printed, _ = process.communicate(timeout=120)
    finally:
        kill_all_of(process)
    assert printed == 2 * "[0.5, -2.5]\n[0.5, -2.5] 0\n"
