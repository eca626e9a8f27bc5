"""A first look: whether kernels run at all, and which part of the way to them fails if not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

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

IN_GRAPHS = ("one pass, with state", "sums of tensors", "a norm over all", "products of matrices")


def look(machine: Machine, notes: Notes) -> None:
    """Take some steps of a few rules, and tell all that is known of an error."""
    notes.note("the machine", ok=None, told=_machine(machine))
    for name, make in CASES.items():
        with notes.failing_softly(name, in_full=True):
            apart = _apart(machine, make)
            notes.note(name, ok=apart <= APART, value=apart)
    for name in IN_GRAPHS:
        with notes.failing_softly(f"{name}, in a graph", in_full=True):
            apart = _apart(machine, CASES[name], capturable=True)
            notes.note(f"{name}, in a graph", ok=apart <= APART, value=apart)
    for name, place in PLACES.items():
        with notes.failing_softly(name, in_full=True):
            where = place(machine)
            if where is None:
                notes.note(name, ok=None, told="there is none")
                continue
            with where:
                apart = _apart(machine, schuss.AdamW, spread=name == "several GPUs")
            notes.note(name, ok=apart <= APART, value=apart)


def _another_stream(machine: Machine) -> AbstractContextManager[Any] | None:
    """Return a context with another stream of work than the first, if there are any."""
    return None if machine.rehearses else torch.cuda.stream(torch.cuda.Stream())


def _several_gpus(machine: Machine) -> AbstractContextManager[Any] | None:
    """Return a context for parameters on several GPUs, if there are several."""
    return None if machine.rehearses or torch.cuda.device_count() == 1 else nullcontext()


PLACES: dict[str, Callable[[Machine], AbstractContextManager[Any] | None]] = {
    "another stream": _another_stream,
    "several GPUs": _several_gpus,
}


def _apart(
    machine: Machine, make: Callable[..., Any], *, capturable: bool = False, spread: bool = False
) -> float:
    """Return how far parameters are from those of the loop after some steps.

    Args:
        machine: The machine.
        make: The constructor of an optimizer.
        capturable: Whether a graph captures the last step.
        spread: Whether every second parameter is on a second GPU.
    """
    ends, steps = [], REHEARSED if machine.rehearses else STEPS
    for engine in ({"fused": True, "capturable": capturable}, {"foreach": False}):
        params = with_gradients(machine)
        if spread:
            params = [_moved(p) if at % 2 else p for at, p in enumerate(params)]
        given: dict[str, Any] = {"lr": 1e-3, **engine}
        if make is schuss.Muon:
            params, given["precision"] = [params[0], params[-1]], "float32"
        optimizer = make(params, **given)
        for step in range(steps):
            if engine.get("capturable") and step == steps - 1:
                machine.captured(optimizer.step)()
            else:
                optimizer.step()
        ends.append([param.detach().double().cpu() for param in params])
    return max(float((a - b).norm() / b.norm()) for a, b in zip(*ends, strict=True))


def _moved(param: nn.Parameter) -> nn.Parameter:
    """Return a parameter on a second GPU, with its gradient."""
    moved = nn.Parameter(param.detach().to("cuda:1"))
    moved.grad = None if param.grad is None else param.grad.to("cuda:1")
    return moved


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
