"""Steps in which nothing is read from the device; runs on Triton's interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor, nn

import schuss
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
}
SHAPES = ((5, 3), (7,), (), (300,))
STEPS, WARM = 7, 4


def trained(name: str, *, watched: bool, **engine: bool) -> list[Tensor]:
    """Return parameters after some steps, the last of which must read nothing."""
    generator = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
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
