"""A first look: whether kernels run at all, and which part of the way to them fails if not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import torch

import schuss
from schuss import Optimizer
from tests.gpu.machine import Machine
from tests.gpu.notes import Notes
from tests.gpu.rules import with_gradients

STEPS, REHEARSED = 6, 3
"""Steps, of which the last is captured where a graph is asked for; and in a rehearsal."""

APART = 1e-5

CASES: dict[str, Callable[..., Optimizer]] = {
    "one pass": schuss.SGD,
    "one pass, with state": schuss.AdamW,
    "sums of tensors": schuss.LAMB,
    "rows and columns": schuss.Adafactor,
    "a norm over all": lambda params, **options: schuss.AdamW(
        params, transforms=[schuss.ClipByGlobalNorm(1.0)], **options
    ),
    "products of matrices": schuss.Muon,
}


def look(machine: Machine, notes: Notes) -> None:
    """Take some steps of a few rules, and tell all that is known of an error."""
    notes.note("the machine", ok=None, told=_machine(machine))
    for name, make in CASES.items():
        with notes.failing_softly(name, in_full=True):
            apart = _apart(machine, make)
            notes.note(name, ok=apart <= APART, value=apart)
    for name in ("one pass, with state", "sums of tensors", "a norm over all"):
        with notes.failing_softly(f"{name}, in a graph", in_full=True):
            apart = _apart(machine, CASES[name], capturable=True)
            notes.note(f"{name}, in a graph", ok=apart <= APART, value=apart)


def _apart(machine: Machine, make: Callable[..., Any], *, capturable: bool = False) -> float:
    """Return how far parameters are from those of the loop after some steps."""
    ends, steps = [], REHEARSED if machine.rehearses else STEPS
    for engine in ({"fused": True, "capturable": capturable}, {"foreach": False}):
        params = with_gradients(machine)
        if make is schuss.Muon:
            params = params[:1]
        optimizer = make(params, lr=1e-3, **engine)
        for step in range(steps):
            if engine.get("capturable") and step == steps - 1:
                machine.captured(optimizer.step)()
            else:
                optimizer.step()
        ends.append([param.detach().double() for param in params])
    return max(float((a - b).norm() / b.norm()) for a, b in zip(*ends, strict=True))


def _machine(machine: Machine) -> str:
    """Return what an error may come from: the card, its driver, and the compiler of the host."""
    if machine.rehearses:
        return "Triton's interpreter"
    capability = ".".join(map(str, torch.cuda.get_device_capability()))
    compiler = next(filter(None, map(shutil.which, ("gcc", "cc", "clang"))), "no C compiler")
    command = [
        "nvidia-smi",
        "--query-gpu=driver_version,clocks.max.mem,power.limit,mig.mode.current",
    ]
    try:
        done = subprocess.run(
            [*command, "--format=csv,noheader"], capture_output=True, text=True, check=False
        )
        told = done.stdout.strip() or done.stderr.strip()
    except OSError as error:
        told = str(error)
    return f"capability {capability}, {compiler}, {told}"
