"""Steps in which nothing is read from the device; runs on Triton's interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.engines.devices.cpu.device import CPU
from schuss.engines.devices.gpu.device import GPU
from schuss.engines.kernels import binding
from schuss.matrices import normalization
from tests.engines.devices.gpu.interpreted import on_interpreter

READS = ("item", "tolist", "__float__", "__int__", "__bool__", "__index__")

Make = Callable[..., schuss.Optimizer]


@contextmanager
def no_reads() -> Iterator[None]:
    """Refuse whatever would wait on a GPU until it has computed a number."""

    def read(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a number was read from the device")

    with pytest.MonkeyPatch.context() as patch:
        for name in READS:
            patch.setattr(Tensor, name, read)
        patch.setattr(normalization, "_norm_within_range", lambda _: None)  # a look, on CPUs alone
        yield


MAKES: dict[str, Make] = {
    "AdamW": lambda p, **k: schuss.AdamW(p, lr=0.1, **k),
    "LAMB": lambda p, **k: schuss.LAMB(p, lr=0.1, **k),
    "StableAdamW": lambda p, **k: schuss.StableAdamW(p, lr=0.1, **k),
    "a tensor lr": lambda p, **k: schuss.AdamW(p, lr=torch.tensor(0.1), **k),
    "clip and average": lambda p, **k: schuss.AdamW(
        p, lr=0.1, transforms=[schuss.ClipByGlobalNorm(0.5), schuss.EMA(0.9)], **k
    ),
    "clip with several sets": lambda p, **k: schuss.RAdam(
        p, lr=0.1, transforms=[schuss.ClipByGlobalNorm(0.5)], **k
    ),
    "Muon": lambda p, **k: schuss.Muon(p, lr=0.1, precision="float32", **k),
}
SHAPES = ((5, 3), (7,), (), (300,))
MATRICES = ((5, 3), (3, 5), (5, 3))
STEPS, WARM = 7, 4
FORGOTTEN = 5
"""The step in which it is forgotten that somebody has read the state after the fourth."""


def trained(name: str, *, watched: bool, **engine: bool) -> list[Tensor]:
    """Return parameters after some steps, the last of which must read nothing."""
    generator = torch.Generator().manual_seed(0)
    shapes = MATRICES if name == "Muon" else SHAPES
    params = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    optimizer = MAKES[name](params, **engine)
    for step in range(STEPS):
        for number, param in enumerate(params):
            param.grad = torch.randn(param.shape, generator=generator)
            if step == number == 1 and name == "clip with several sets":
                param.grad = None  # so that its count falls behind
        if watched and step >= WARM:
            with no_reads():
                optimizer.step()
        else:
            optimizer.step()
    return [param.detach() for param in params]


def reads_nothing(name: str) -> None:
    """Compare steps that read nothing with the loop.

    Raises:
        AssertionError: They parted, or a number was read.
    """
    expected: Sequence[Tensor] = trained(name, watched=False, foreach=False)
    with on_interpreter(block=16):
        found = trained(name, watched=True, fused=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def steps_on_both() -> None:
    """Step a group by a kernel of the CPU and another one by a kernel for a GPU.

    Raises:
        AssertionError: They parted from the loop.
    """

    def after(**engine: bool) -> list[Tensor]:
        generator = torch.Generator().manual_seed(0)
        params = [nn.Parameter(torch.randn(size, generator=generator)) for size in (300, 7)]
        optimizer = schuss.LAMB([{"params": [p]} for p in params], lr=0.1, **engine)
        for _ in range(5):
            for param in params:
                param.grad = torch.randn(param.shape, generator=generator)
            optimizer.step()
        return [param.detach() for param in params]

    expected = after(foreach=False)
    kinds = iter([CPU, GPU])
    with on_interpreter(block=16), pytest.MonkeyPatch.context() as patch:
        patch.setattr(binding, "device_for", lambda _: next(kinds))
        found = after(fused=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def scaled(optimizer: Any, step: int, found: float) -> None:
    """Give an optimizer the factor of its gradients, and a verdict, as a `GradScaler` does."""
    optimizer.grad_scale = torch.tensor(2.0 + step)
    optimizer.found_inf = torch.tensor(found)


def left_out(option: str, *, watched: bool, **engine: bool) -> tuple[list[Tensor], list[Any]]:
    """Return parameters, and what was counted, after steps of which some are to be left out."""
    generator = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    transforms = [schuss.SkipNonFinite()] if option != "scaled" else []
    optimizer = schuss.AdamW(params, lr=0.1, transforms=transforms, **engine)
    counted: list[Any] = []
    for step in range(10):
        grads = [torch.randn(shape, generator=generator) for shape in SHAPES]
        if option != "scaled" and step in (0, 6, 7):
            grads[1][2] = float("nan")
        for param, grad in zip(params, grads, strict=True):
            param.grad = grad
        if option != "not finite":
            scaled(optimizer, step, found=float(step in (3, 6, 8)))
        if watched and step >= FORGOTTEN:
            with no_reads():
                optimizer.step()
        else:
            optimizer.step()
        if step in (3, 9):
            counted.append([state["step"] for state in optimizer.state.values()])
    counted.append(optimizer.param_groups[0].get("skipped_steps"))
    return [param.detach() for param in params], counted


def leaves_out(option: str) -> None:
    """Compare steps that a device leaves out with the loop.

    Raises:
        AssertionError: They parted, or a number was read.
    """
    expected, counts = left_out(option, watched=False, foreach=False)
    with on_interpreter(block=16):
        found, counted = left_out(option, watched=True, fused=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert counted == counts, f"{counted}, not {counts}"
