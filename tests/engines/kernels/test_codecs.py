"""Kernels keep state as the loop does, to the last code, for every optimizer and preset."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.storage.codecs import Encoded, policy
from tests.algorithms import TRACED
from tests.covers import in_turn

PRESETS = sorted(policy.PRESETS)
SHAPES = ((70, 61), (64, 64), (4099,), (9,))
"""Shapes with and without a rest behind the last block, and one that is too small to be encoded."""

CODES_OFF = 2e-3
"""The share of codes that may differ by one, where the loop rounds an operation otherwise."""


def params() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def give_gradients(params: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for param in params:
        scale = torch.logspace(-5, 1, param.numel()).view(param.shape)
        param.grad = torch.randn(param.shape, generator=generator) * scale


def compare(ours: Tensor, theirs: Tensor) -> None:
    if isinstance(ours, Encoded) or isinstance(theirs, Encoded):
        assert isinstance(ours, Encoded)
        assert isinstance(theirs, Encoded)
        assert ours.codec is theirs.codec
        off = (ours.codes.int() - theirs.codes.int()).abs()
        assert off.max() <= 1
        assert (off > 0).double().mean() <= CODES_OFF
    else:
        assert ours.dtype is theirs.dtype
        torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=1e-4)


ELEMENTWISE = [
    name
    for name in TRACED
    if name not in ("adahessian", "sophia", "sophiah", "sm3", "adafactor", "came", "adammini")
]


@pytest.mark.parametrize(("name", "preset"), in_turn(ELEMENTWISE, PRESETS))
def test_the_fused_engine_leaves_the_codes_of_the_loop(name: str, preset: str) -> None:
    ours, theirs = params(), params()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optimizers: list[Any] = [
            schuss.create_optimizer(name, given, state_storage=preset, **engine)
            for given, engine in ((ours, {}), (theirs, {"foreach": False}))
        ]
        for step in range(3):
            for optimizer, given in zip(optimizers, (ours, theirs), strict=True):
                give_gradients(given, step)
                optimizer.step()
            for mine, other in zip(ours, theirs, strict=True):
                for key, value in optimizers[0].state[mine].items():
                    if isinstance(value, Tensor):
                        compare(value, optimizers[1].state[other][key])
            optimizers[1].load_state_dict(optimizers[0].state_dict())
            with torch.no_grad():
                for mine, other in zip(ours, theirs, strict=True):
                    torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)
                    other.copy_(mine)
