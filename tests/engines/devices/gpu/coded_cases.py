"""Codes that kernels for a GPU read and write; runs on Triton's interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.engines.devices.gpu import compiled
from schuss.engines.devices.gpu.codecs import MAPS, MODULES, map_of
from schuss.storage.codecs import CODECS, Encoded, policy
from tests.engines.devices.gpu.coded import codes_apart
from tests.engines.devices.gpu.interpreted import on_interpreter

BLOCK = 256
"""Numbers that a program computes at once, as few as share a scale; a chunk is four of them."""


def keeps(
    name: str, storage: Any, sizes: Sequence[int], dtype: torch.dtype, options: dict[str, Any]
) -> int:
    """Train with a state of any size kept as codes, and return how many codes differ by one.

    Args:
        name: The optimizer.
        storage: How it keeps its state.
        sizes: How many numbers each parameter has.
        dtype: The precision of the parameters.
        options: Other options of the optimizer.

    Raises:
        AssertionError: More differs than rounding explains.
    """
    with on_interpreter(BLOCK), pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy, "SMALLEST", 1)
        return codes_apart(name, storage, sizes, dtype, "cpu", **options)


_MODULE = """
from schuss.engines.devices.gpu.{module}_compiled import *
from schuss.engines.devices.gpu.functions_compiled import *

@triton.jit
def there_and_back(codes, scales, given, found, {map}count, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    for at in range(0, count, BLOCK):
        left = count - at
        number = load(given + 4 * at, i, i < left, tl.float32, tl.float32)
        number = tl.where(i < left, number, 9.0)  # which enters no scale
        encode_{name}(codes, scales, at, i, left, number, False)
        back = decode_{name}({map}codes, scales, at, i, left, False)
        store(found + 4 * at, i, i < left, back, tl.float32)
"""


def encodes(name: str) -> None:
    """Encode and decode numbers of all sizes, and compare with the specification.

    Raises:
        AssertionError: Some code, scale or number is another one.
    """
    codec, has_map = CODECS[name], name in MAPS
    text = _MODULE.format(name=name, module=MODULES[name], map="numbers, " if has_map else "")
    function = compiled.module("test", text)[1]["there_and_back"]
    draw = torch.Generator().manual_seed(0)
    for size in (1, 2, 33, 129, 2303):
        given = torch.randn(size, generator=draw) * torch.logspace(-8, 2, size)
        if size > 2000:
            given[70], given[600], given[700] = torch.nan, torch.inf, -torch.inf
            given[800:1100], given[1300:1600], given[1700] = 0.0, 1e-40, -0.0
        if not codec.is_signed and size % 2:
            given = given.abs()
        codes, scales = codec.encoded(given)
        numbers = codec.decoded(codes, scales, given.shape)
        ours = torch.zeros_like(codes), torch.zeros_like(scales), torch.zeros_like(numbers)
        maps = [map_of(name, given.device)] if has_map else []
        arrays = ours[0], ours[1], given, ours[2], *maps
        with on_interpreter(BLOCK):
            function[(1,)](*(array.data_ptr() for array in arrays), size, BLOCK=BLOCK)
        for found, expected in zip(ours, (codes, scales, numbers), strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def keeps_beside_odd_memory(storage: str) -> None:
    """Train parameters that begin one number behind a multiple of 16 bytes."""
    with on_interpreter(BLOCK), pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy, "SMALLEST", 1)
        codes_apart("adamw", storage, (512, 1032), torch.float32, "cpu", _oddly)


def _oddly(numbers: Tensor) -> Tensor:
    room = numbers.new_zeros(numbers.numel() + 1)
    room[1:] = numbers
    return room[1:]


def refused() -> str:
    """Return what is said of codes beside statistics of rows and columns."""
    param = nn.Parameter(torch.ones(64, 64))
    param.grad = torch.ones(64, 64)
    with on_interpreter(BLOCK):
        optimizer = schuss.Adafactor([param], beta1=0.9, state_storage="8bit")
        optimizer.step()  # which makes the state
        with pytest.warns(UserWarning, match="exp_avg") as told:
            optimizer.step()
        (cohort,) = optimizer.explain().cohorts
    assert cohort.engine == "foreach"
    assert isinstance(optimizer.state[param]["exp_avg"], Encoded)
    return str(told[0].message)
