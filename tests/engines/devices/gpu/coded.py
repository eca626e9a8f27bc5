"""State that is kept as codes, by kernels and by the loop."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import schuss
from schuss.storage.codecs import Encoded

CODES_OFF = 1 / 500
"""The share of codes that may differ by one, where an operation of a rule is rounded otherwise."""


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that state is encoded that a first step has made
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
