"""Printed kernels compile for GPUs: they read and write 128 bits at once, and nothing spills."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import nn

import schuss
from tests.algorithms import TRACED
from tests.covers import EXHAUSTIVE, in_turn
from tests.engines.devices.gpu.machine_code import bytes_expected, compiled, wide_expected
from tests.engines.devices.gpu.stubbed import Launched, stubbed_gpu

ARCHITECTURES = (80, 90, 100)  # Ampere, Hopper, Blackwell
DTYPES = (torch.float32, torch.bfloat16, torch.float64, torch.float16)
WAYS = list(
    itertools.product(ARCHITECTURES, DTYPES, (False, True))
)  # one set of numbers, or several

EVERY = in_turn(TRACED, WAYS)
SOME = [each for at, each in enumerate(EVERY) if not (at + at // len(WAYS)) % 2]
"""Half of the optimizers, and each way once, because a kernel takes a second to compile."""

STEPS = 8
"""After so many, every rule has taken the form that it keeps: RAdam rectifies from the sixth."""

MOST_REGISTERS = 254
"""Registers that a thread may have; with one more, all that there are would be in use."""

LINE = 32
"""Columns of a tile, from which on its lines are read 128 bits at once."""

SPARED = 8
"""Bytes of a thread that the compiler may put into memory to spare a register, so that more threads
run: it does so in tiles of SM3.
"""

TIGHT = {
    **{("adan", dtype, 100): SPARED for dtype in (torch.bfloat16, torch.float16)},
    **{("adamp", torch.float64, arch): 2 * SPARED for arch in ARCHITECTURES},
}
"""Rules that use all registers there are, and the bytes that they may have in memory besides: Adan
in half precision on the latest of these GPUs, and AdamP in float64, whose numbers take two each.
"""


SHAPES = ((5,), (64, 384))


def launched(
    name: str, dtype: torch.dtype, *, several: bool = False, **options: Any
) -> list[Launched]:
    """Return the functions that some steps of an optimizer launch.

    Args:
        name: The optimizer.
        dtype: The precision of its parameters.
        several: Let one of two parameters have no gradient in the first step, so that the numbers
            of the two differ from then on.
        options: Other options of the optimizer.
    """
    params = [nn.Parameter(torch.ones(shape, dtype=dtype)) for shape in SHAPES * 2]
    with stubbed_gpu() as stub:
        optimizer = schuss.create_optimizer(
            name, params, lr=0.1, weight_decay=0.1, fused=True, **options
        )
        for step in range(STEPS):
            for param in params:
                param.grad = torch.ones_like(param)
            if several and step == 0:
                params[0].grad = params[1].grad = None
            optimizer.step()
    return stub.launched


@pytest.mark.parametrize(("name", "way"), EVERY if EXHAUSTIVE else SOME, ids=str)
def test_a_kernel_reads_and_writes_128_bits_at_once(name, way, record_property):
    arch, dtype, several = way
    for function in launched(name, dtype, several=several):
        made = compiled(function, arch)
        spared = 0 if "BLOCK" in function.constants else SPARED
        assert made.spilled <= TIGHT.get((name, dtype, arch), spared)
        assert made.registers <= MOST_REGISTERS or (name, dtype, arch) in TIGHT
        record_property(f"registers of {function.name}", made.registers)
        if "BLOCK" in function.constants or function.constants.get("COLUMNS", 0) >= LINE:
            loads, stores = wide_expected(function)
            assert loads
            # A short loop may be unrolled, and then has each of them several times.
            times = made.loads // loads
            assert (made.loads, made.stores) == (times * loads, times * stores)
            assert times in (1, 2, 4)


@pytest.mark.parametrize(
    ("name", "storage", "dtype", "arch"),
    [
        ("adamw", "8bit", torch.float32, 90),
        ("adamw", "4bit", torch.bfloat16, 80),
        ("adamw", {"exp_avg": "dynamic8", "exp_avg_sq": "udynamic8"}, torch.float32, 100),
        ("adamw", {"exp_avg": "fp8_e4m3", "exp_avg_sq": "fp8_e5m2"}, torch.float32, 90),
        ("adamw", {"exp_avg": "flash_int8", "exp_avg_sq": "flash_uint8"}, torch.float32, 80),
        ("lamb", "8bit", torch.bfloat16, 100),
        ("lion", "4bit", torch.float32, 90),
        ("lion", "8bit", torch.float64, 80),
    ],
    ids=str,
)
def test_a_kernel_reads_and_writes_several_codes_at_once(
    name, storage, dtype, arch, record_property
):
    coded = [
        function
        for function in launched(name, dtype, state_storage=storage)
        if " decode_" in function.text and "BLOCK" in function.constants
    ]
    assert coded
    for function in coded:
        made = compiled(function, arch)
        assert not made.spilled
        assert made.registers <= MOST_REGISTERS
        record_property(f"registers of {function.name}", made.registers)
        loads, stores = wide_expected(function)
        assert (made.loads, made.stores) == (loads, stores)
        # Those of memory that begins anywhere, and no others.
        assert made.bytes == bytes_expected(function)
