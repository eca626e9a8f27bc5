"""Compiling once: threads and forks find no lock held."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

from schuss.engines.devices.cpu import compiled, machine
from tests.engines.devices.cpu.test_cache import NAMES, TEXT


def test_threads_that_begin_at_once_compile_a_kernel_once(monkeypatch, tmp_path):
    monkeypatch.setenv("SCHUSS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiled, "_made", {})
    begin, compiling, compiles, found = threading.Barrier(4), machine.compiled, [], []

    def counted(text, *more):
        compiles.append(text)
        return compiling(text, *more)

    def ask():
        begin.wait()
        found.append(compiled.functions("test", TEXT, NAMES))

    monkeypatch.setattr(machine, "compiled", counted)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compiles == [TEXT]
    assert len(found) == 4
    assert {tuple(addresses) for _, addresses in found} == {tuple(found[0][1])}


FORK = """
import os, sys, threading, time
import schuss, torch
from schuss.engines.devices.cpu import machine

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
