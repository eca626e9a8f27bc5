"""State that is kept as codes, by kernels for a GPU and by the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.engines.devices.gpu import compiled
from schuss.engines.devices.gpu.codecs import MAPS, map_of
from schuss.storage.codecs import CODECS, Encoded, policy
from tests.engines.devices.gpu.interpreted import on_interpreter

BLOCK = 256
"""Numbers that a program computes at once, as few as share a scale; a chunk is four of them."""

CODES_OFF = 1 / 500
"""The share of codes that may differ by one, where an operation of a rule is rounded otherwise."""


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


def codes_apart(
    name: str,
    storage: Any,
    sizes: Sequence[int],
    dtype: torch.dtype,
    device: str,
    laid: Callable[[Tensor], Tensor] = Tensor.detach,
    **options: Any,
) -> int:
    """Compare an optimizer with itself on the loop, and return how many codes differ by one.

    Each step begins with one state, so that differences do not add up.

    Args:
        name: The optimizer.
        storage: How it keeps its state.
        sizes: How many numbers each parameter has.
        dtype: The precision of the parameters.
        device: Where they are.
        laid: Returns the numbers of a parameter as they are to lie in memory.
        options: Other options of the optimizer.

    Raises:
        AssertionError: More differs than rounding explains.
    """
    both = [_params(sizes, dtype, device, laid) for _ in range(2)]
    engines: list[dict[str, bool]] = [{"fused": True}, {"foreach": False}]
    ours, theirs = [
        schuss.create_optimizer(name, params, lr=1e-2, state_storage=storage, **engine, **options)
        for params, engine in zip(both, engines, strict=True)
    ]
    apart = 0
    for step in range(3):
        for optimizer, params in zip((ours, theirs), both, strict=True):
            _give_gradients(params, step)
            optimizer.step()
        apart += sum(_compared(ours.state[a], theirs.state[b]) for a, b in zip(*both, strict=True))
        theirs.load_state_dict(ours.state_dict())
        for mine, other in zip(*both, strict=True):
            bound = 1e-2 if mine.element_size() < 4 else 2e-4
            torch.testing.assert_close(mine, other, rtol=bound, atol=bound, equal_nan=True)
            other.data.copy_(mine)
    assert {cohort.engine for cohort in ours.explain().cohorts} == {"fused"}
    return apart


def _compared(ours: dict[str, Any], theirs: dict[str, Any]) -> int:
    """Return how many codes of two states differ by one.

    Raises:
        AssertionError: More differs than rounding explains.
    """
    found = 0
    for key, value in ours.items():
        other = theirs[key]
        if isinstance(value, Encoded):
            assert value.codec is other.codec
            torch.testing.assert_close(
                value.scales.float(), other.scales.float(), rtol=8e-3, atol=1e-30, equal_nan=True
            )
            off = (_single(value) - _single(other)).abs()
            assert off.max() <= 1, f"codes of {key} are {off.max()} apart"
            assert (off > 0).sum() <= 1 + CODES_OFF * off.numel()
            found += int((off > 0).sum())
        elif isinstance(value, Tensor):
            torch.testing.assert_close(value, other, rtol=8e-3, atol=1e-6, equal_nan=True)
    return found


def _single(kept: Encoded) -> Tensor:
    """Return a code for each number."""
    return kept.codec.unpacked(kept.codes, kept.numel()).int()


def _params(
    sizes: Sequence[int], dtype: torch.dtype, device: str, laid: Callable[[Tensor], Tensor]
) -> list[nn.Parameter]:
    draw = torch.Generator().manual_seed(0)
    numbers = (torch.randn(size, generator=draw).to(device, dtype) for size in sizes)
    return [nn.Parameter(laid(each)) for each in numbers]


def _give_gradients(params: Sequence[nn.Parameter], step: int) -> None:
    draw = torch.Generator().manual_seed(step)
    for param in params:
        size = torch.logspace(-5, 1, param.numel()).view(param.shape)
        param.grad = (torch.randn(param.shape, generator=draw) * size).to(param)
        if param.numel() > 3 * 256 and step == 1:  # spoils one block, and no other
            param.grad[70] = torch.nan
            param.grad[600] = torch.inf


_MODULE = """
from schuss.engines.devices.gpu.codecs_compiled import *
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
    text = _MODULE.format(name=name, map="numbers, " if has_map else "")
    function = compiled.module("test", text)[1]["there_and_back"]
    draw = torch.Generator().manual_seed(0)
    for size in (1, 2, 33, 129, 2303):
        given = torch.randn(size, generator=draw) * torch.logspace(-8, 2, size)
        if size > 2000:
            given[70], given[600], given[700] = torch.nan, torch.inf, -torch.inf
            given[800:1100], given[1300:1600] = 0.0, 1e-40
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
    assert cohort.engine == "loop"
    assert isinstance(optimizer.state[param]["exp_avg"], Encoded)
    return str(told[0].message)
