"""The first step of a process: without any cache, and with the caches of an earlier process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

import torch

import schuss
from tests.gpu.machine import Machine
from tests.gpu.models import model
from tests.gpu.notes import Notes

LIMITS = {"cold": 1.5, "warm": 0.3}
"""Seconds that a first step may take."""


def first_steps(machine: Machine, notes: Notes) -> None:
    """Time first steps of AdamW in new processes."""
    if machine.rehearses:
        return notes.note("cold", ok=None, value=timed(machine))
    with tempfile.TemporaryDirectory() as caches:
        places = {"SCHUSS_CACHE_DIR": f"{caches}/ours", "TRITON_CACHE_DIR": f"{caches}/triton"}
        for case, limit in LIMITS.items():
            command = [sys.executable, "-m", "tests.gpu.first"]
            done = subprocess.run(
                command, env=os.environ | places, capture_output=True, text=True, check=False
            )
            if done.returncode:
                notes.note(case, ok=False, told=done.stderr.strip()[-300:])
            else:
                seconds = float(done.stdout.split()[-1])
                ok = machine.verdict(seconds <= limit)
                notes.note(case, ok=ok, value=seconds, wanted=f"at most {limit:g} s")
    return None


def timed(machine: Machine) -> float:
    """Return the seconds from parameters that are there to the end of the first step."""
    params = model("GPT-2 small", torch.float32, machine)
    machine.wait()
    start = time.perf_counter()
    schuss.AdamW(params, fused=True).step()
    machine.wait()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.stdout.write(f"{timed(Machine(rehearses=False, end=0.0))}\n")
