"""How the sizes of blocks, chunks and programs change the time of a step."""

from __future__ import annotations

import itertools

import pytest
import torch

import schuss
from schuss.engines.devices.gpu import launch
from tests.gpu.machine import Machine
from tests.gpu.models import model
from tests.gpu.notes import Notes
from tests.gpu.race import race
from tests.gpu.table import moved

BLOCKS = (512, 1024, 2048)
LOOPS = (1, 2, 4, 8)
WARPS = (4, 8)


def configurations(machine: Machine, notes: Notes) -> None:
    """Time AdamW on GPT-2 small in every configuration, those with the same warps in turns."""
    for dtype in (torch.float32, torch.bfloat16):
        params = model("GPT-2 small", dtype, machine)
        ways = [w for w in itertools.product(BLOCKS, LOOPS, WARPS) if w[0] // (32 * w[2]) in (4, 8)]
        for way in machine.share(ways):
            block, loops, warps = (32, 2, 4) if machine.rehearses else way
            case = f"{dtype}, {block} numbers, {loops} blocks, {warps} warps".removeprefix("torch.")
            if machine.is_late:
                return notes.note(case, ok=None, told="no time was left")
            with notes.failing_softly(case), pytest.MonkeyPatch.context() as patch:
                patch.setattr(launch, "BLOCK", block)
                patch.setattr(launch, "BLOCKS", loops)
                patch.setattr(launch, "WARPS", warps)
                optimizer = schuss.AdamW(params, lr=1e-6, fused=True)
                times = race(machine, notes, case, {case: optimizer.step})[case]
                gbps = moved(optimizer) / times.step / 1e9
                notes.note(case, ok=None, ms=1e3 * times.step, gbps=gbps)
        machine.forget()
    return None
