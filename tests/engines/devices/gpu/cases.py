"""Optimizers on a GPU and on the loop; runs on Triton's interpreter."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from torch import Tensor

import schuss
from schuss import GradientNoise
from schuss.engines.devices.gpu import run
from tests.conformance.strangers import Ruled
from tests.conformance.trajectories import TOLERANCE, Training, distance, trajectory
from tests.engines.devices.gpu.interpreted import on_interpreter
from tests.engines.devices.gpu.paths import SHAPES, STEPS, path

BLOCK = 32
"""Numbers that a program computes at once; a chunk is four of them."""


def agrees(name: str, dtype: torch.dtype, option: str) -> None:
    """Compare an optimizer with itself on the loop.

    Args:
        name: The optimizer.
        dtype: The precision of the parameters.
        option: One of `options.OPTIONS`.

    Raises:
        AssertionError: They parted, or something was written to that is no parameter's.
    """
    expected = path(name, dtype, option, foreach=False)
    with on_interpreter(BLOCK):
        found = path(name, dtype, option, fused=True)
    apart = distance(found, expected)
    assert apart <= TOLERANCE[dtype], f"{name} in {dtype} with {option} is {apart} from the loop"


def draws_as_a_processor(dtype: torch.dtype) -> None:
    """Compare random numbers with those of the kernel for a CPU, from the same seeds.

    Raises:
        AssertionError: They differ.
    """
    ends = []
    for on in (nullcontext(), on_interpreter(BLOCK)):
        torch.manual_seed(0)
        params = [torch.nn.Parameter(torch.zeros(size, dtype=dtype)) for size in (3, 301)]
        optimizer = schuss.SGD(params, lr=1.0, transforms=[GradientNoise(1.0)], fused=True)
        with on:
            for _ in range(2):
                for param in params:
                    param.grad = torch.zeros_like(param)
                optimizer.step()
        ends.append(torch.cat([param.detach() for param in params]))
    assert ends[0].std() > 0.5
    # Only cosines and logarithms are computed by other functions.
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-6, atol=1e-7)


def takes(rule: Callable[..., None], dtype: torch.dtype) -> None:
    """Compare a stranger's rule with itself on the loop.

    Raises:
        AssertionError: They parted.
    """
    training = Training(steps=STEPS, dtype=dtype, shapes=SHAPES)
    expected = trajectory(partial(Ruled, rule=rule, foreach=False), training)
    with on_interpreter(BLOCK):
        found = trajectory(partial(Ruled, rule=rule, fused=True), training)
    apart = distance(found, expected)
    assert apart <= TOLERANCE[dtype], f"{rule.__name__} in {dtype} is {apart} from the loop"


def leaves_out(name: str) -> None:
    """Take a step that is to be left out, as the device is told.

    Raises:
        AssertionError: A parameter or a state has changed.
    """
    params = [torch.nn.Parameter(torch.linspace(1, 2, size)) for size in (3, 301)]
    optimizer = schuss.create_optimizer(name, params, lr=0.1, fused=True)
    ends = []
    with on_interpreter(BLOCK), pytest.MonkeyPatch.context() as patch:
        for _ in range(2):
            for param in params:
                param.grad = torch.ones_like(param)
            optimizer.step()
            kept = [x for p in params for x in optimizer.state[p].values() if isinstance(x, Tensor)]
            ends.append([tensor.detach().clone() for tensor in (*params, *kept)])
            patch.setattr(run, "never", lambda device: torch.ones(1))
    for after, before in zip(ends[1], ends[0], strict=True):
        assert torch.equal(after, before), f"{name} has taken a step that was to be left out"
