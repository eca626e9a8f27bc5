"""A look at some numbers of bfloat16 parameters: whether the steps move them at all.

An update that is less than half of the distance from a weight to the next number of bfloat16 is
lost when the weight is rounded, and nothing tells of it but a loss that stays too high. So three
early steps compare a sample of the numbers with what they were before. All other steps only count.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from schuss.contract import Group
from schuss.storage.master import weights_of

LOOKED_AT: Final = frozenset({10, 100, 1000})
"""The steps in which a sample is compared. The first ones of a warm-up may well move nothing."""

SAMPLE: Final = 4096
"""How many numbers of a group are compared, at most."""

PARAMETERS: Final = 64
"""How many parameters of a group they are taken from, at most."""

SHARE: Final = 0.5
"""The share of them that may stay where they are before it is said."""


class Sample(NamedTuple):
    """Some numbers of one parameter.

    Attributes:
        group: The number of its group.
        param: The parameter.
        before: The numbers, as they were.
        pushed: Which of them have a gradient that is not zero.
    """

    group: int
    param: Tensor
    before: Tensor
    pushed: Tensor


class LostUpdates:
    """Warns once if most updates of an optimizer are lost in the rounding of its parameters."""

    def __init__(self) -> None:
        self._steps = 0

    def begin(self, groups: Sequence[Group]) -> list[Sample] | None:
        """Count a step that is going to be taken, and return a sample if it is one to look at."""
        self._steps += 1
        if self._steps not in LOOKED_AT:
            return None
        return [each for number, group in enumerate(groups) for each in _samples(number, group)]

    def end(self, optimizer: object, samples: Sequence[Sample]) -> None:
        """Compare a sample after the step."""
        for number in sorted({each.group for each in samples}):
            own = [each for each in samples if each.group == number]
            still = [(_some(x.param, len(x.before)) == x.before) & x.pushed for x in own]
            lost, pushed = (
                int(torch.stack([flags.sum() for flags in each]).sum())
                for each in (still, [x.pushed for x in own])
            )
            if lost > SHARE * pushed:
                self._steps = max(LOOKED_AT)  # and so it is said once
                warnings.warn(_told(optimizer, number, lost / pushed), stacklevel=2)
                return


def _told(optimizer: object, group: int, share: float) -> str:
    return (
        f"{type(optimizer).__name__}: {share:.0%} of the numbers of bfloat16 parameters that have "
        f"a gradient (a sample of parameter group {group}) did not change in a step: their updates "
        "are less than half of the distance to the next number of bfloat16, and are lost. Give the "
        "group master_weights=True, which loses nothing, or master_weights=24, rounding='kahan' or "
        "rounding='stochastic'"
    )


def _samples(number: int, group: Group) -> list[Sample]:
    if not float(group.get("lr", 1.0)) or group["differentiable"]:
        return []
    params = [param for param in group["params"] if _may_lose(group, param)]
    params = params[:: -(-len(params) // PARAMETERS) or 1]
    found = []
    for param in params:
        count = min(param.numel(), SAMPLE // len(params))
        pushed = _some(param.grad, count) != 0
        found.append(Sample(number, param, _some(param, count).clone(), pushed))
    return found


def _may_lose(group: Group, param: Tensor) -> bool:
    """Tell whether a parameter is one to look at: nothing keeps what it loses."""
    if param.dtype is not torch.bfloat16 or param.grad is None or not param.numel():
        return False
    if type(param) not in (Tensor, torch.nn.Parameter) or param.grad.layout is not torch.strided:
        return False
    if param.is_cuda and torch.cuda.is_current_stream_capturing():
        return False  # where nothing can be read
    return not param.is_meta and weights_of(group, param) is None


def _some(tensor: Tensor, count: int) -> Tensor:
    """Return some numbers of a tensor, with the same distance between them."""
    flat = tensor.detach().reshape(-1)
    return flat[:: flat.numel() // count][:count]
