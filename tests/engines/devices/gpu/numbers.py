"""Numbers that a GPU computes, beside those of Python; runs on Triton's interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import schuss
from schuss.engines.devices.gpu.launch import Launch
from tests.engines.devices.gpu.interpreted import on_interpreter

SHAPES = ((5, 3), (7,), (), (40,))
STEPS = 9
LATE, MISSING, SKIPPED = 2, 4, 6
"""Before the first of these steps one parameter has no gradient, nor has another in the second; a
gradient scaler leaves out the third."""

CLOSE = 4e-16
"""A power of NumPy, which the interpreter takes, is off by one in the last place at times."""

APART = {"radamschedulefree": 1e-11}
"""Its weights are differences of nearly equal numbers, in which a last place counts for more."""

Create = Callable[..., Any]


class Tripling(schuss.Optimizer):
    """Makes a tensor of its own, with which no kernel computes."""

    lr: float = schuss.rate(default=0.1)

    def init_state(self, state: Any, group: Any, param: Tensor) -> None:
        state["step"] = 0

    def update(self, state: Any, group: Any, grad: Tensor, param: Tensor) -> Any:
        of_three = torch.full((), 3.0, dtype=torch.float64)
        return grad * (of_three ** (1 / state["step"]))


class Noisy(schuss.Optimizer):
    """Draws random numbers."""

    lr: float = schuss.rate(default=0.1)

    def update(self, state: Any, group: Any, grad: Tensor, param: Tensor) -> Any:
        return grad + torch.randn_like(grad)


STRANGERS: dict[str, Create] = {"tripling": Tripling, "noisy": Noisy}


def _created(name: str, groups: Any, **options: Any) -> Any:
    if name in STRANGERS:
        return STRANGERS[name](groups, **options)
    return schuss.create_optimizer(name, groups, **options)


def trained(name: str, *, on_device: bool, **options: Any) -> tuple[list[Tensor], list[Any]]:
    """Return parameters and the numbers of their states, after steps that differ among them."""
    draw = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(shape, generator=draw)) for shape in SHAPES]
    rates: Any = (0.1, 0.05)
    beside: dict[str, bool] = {}
    if on_device:
        beside = {"capturable": False} if name == "adam" else {}  # whose numbers Python computes
        rates = [torch.tensor(rate, dtype=torch.float64) for rate in rates]
    groups = [
        {"params": params[:2], "lr": rates[0], **beside},
        {"params": params[2:], "lr": rates[1], "weight_decay": 0.1},
    ]
    engine = {"capturable": True} if on_device else {"foreach": False}
    optimizer = _created(name, groups, **engine, **options)
    optimizer.found_inf, scale = torch.zeros(()), torch.ones(())
    optimizer.grad_scale = scale
    for step in range(STEPS):
        optimizer.found_inf.fill_(float(step == SKIPPED))
        scale.fill_(1.0 + step)
        for at, param in enumerate(params):
            param.grad = torch.randn(param.shape, generator=draw)
            if (at == 3 and step < LATE) or (at == 1 and step == MISSING):
                param.grad = None
        optimizer.step()
    numbers = [
        {key: float(x) for key, x in optimizer.state[param].items() if _is_number(x)}
        for param in params
    ]
    return [param.detach() for param in params], numbers


def _is_number(x: Any) -> bool:
    if isinstance(x, Tensor):
        return not x.dim() and x.dtype is torch.float64
    return isinstance(x, (int, float))


@contextmanager
def noting_kernels() -> Iterator[list[tuple[str, int]]]:
    """Note each launch within: whether it computes numbers, and of how many tensors it is."""
    found: list[tuple[str, int]] = []
    run = Launch.run

    def launched(launch: Launch, *args: Any) -> None:
        places = [place.name for place in launch.kernel.source.columns]
        kind = "numbers" if "param" not in places else "step"
        found.append((kind, len(launch.gradients)))
        run(launch, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Launch, "run", launched)
        yield found


def are_those_of_python(name: str, by_kernel: bool = True) -> None:
    """Compare the numbers of states, and what became of the parameters, with those on the loop.

    Args:
        name: The optimizer.
        by_kernel: Whether a kernel computes the numbers, and not torch.

    Raises:
        AssertionError: They are others.
    """
    expected, numbers = trained(name, on_device=False)
    with on_interpreter(block=16), noting_kernels() as launches:
        found, computed = trained(name, on_device=True)
    for ours, theirs in zip(computed, numbers, strict=True):
        assert ours.keys() == theirs.keys()
        for key, number in theirs.items():
            close = APART.get(name, CLOSE) * abs(number)
            assert abs(ours[key] - number) <= close, (key, ours[key], number)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert ("numbers" in dict(launches)) is by_kernel


def last_launches(name: str) -> list[tuple[str, int]]:
    """Return the launches of a step of two groups, see `noting_kernels`."""
    params = [nn.Parameter(torch.ones(size)) for size in (5, 7, 9)]
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.05}]
    with on_interpreter(block=16):
        optimizer = _created(name, groups, lr=0.1, capturable=True)
        for _ in range(3):
            for param in params:
                param.grad = torch.ones_like(param)
            with noting_kernels() as launches:
                optimizer.step()
    return launches


def refusal(name: str) -> str:
    """Return why an optimizer cannot be captured."""
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    with on_interpreter(block=16), pytest.raises(RuntimeError) as caught:
        _created(name, [weight], capturable=True).step()
    return str(caught.value)
