"""The dynamic codecs: 8 bits a number, in decades, as bitsandbytes and torchao keep state.

A block is divided by its largest absolute value, and each number becomes the nearest one of a map
of 256. The map has seven decades below 1. The largest has 64 numbers of each sign in equal steps,
and each next one half as many:

- `dynamic8`: with a sign, for averages of gradients.
- `udynamic8`: without one, with twice as many numbers, for averages of squares. A number that is
  not 0 never becomes 0, since a step divides by its root; below 1.6e-7 of the largest number of
  its block this is not the nearest one of the map.

Dettmers, Lewis, Shleifer and Zettlemoyer, *8-bit Optimizers via Block-wise Quantization*, 2022,
section 2.2. <https://arxiv.org/abs/2110.02861>
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from schuss.storage.codecs.codec import TINY, Codec


def dynamic_map(decades: int, first: int, *, is_signed: bool) -> list[float]:
    """Return the numbers of a map, ascending; among them 0 and 1, but not -1.

    Args:
        decades: How many decades there are below 1.
        first: How many numbers of one sign the smallest decade has; each next one has twice as
            many.
        is_signed: Whether it has negative numbers.
    """
    found = [0.0, 1.0]
    for decade in range(decades):
        count = first << decade
        edges = torch.linspace(0.1, 1, count + 1, dtype=torch.float32, device="cpu")
        means = (10.0 ** (decade - decades + 1) * (edges[:-1] + edges[1:]) / 2).tolist()
        found += means
        found += [-mean for mean in means] if is_signed else []
    return torch.tensor(sorted(found), dtype=torch.float32, device="cpu").tolist()


class Decade(NamedTuple):
    """The way from a share of the scale to a code, within one decade.

    Attributes:
        begin: The smallest share that is nearest to a number of the decade.
        factor: The number of steps in a share.
        numbers: How many numbers it has; their codes, counted from that of 0, begin with it.
    """

    begin: float
    factor: float
    numbers: float


class Dynamic(Codec):
    """The part that both have in common."""

    block = 256
    code = torch.uint8
    scale = torch.float32
    decades = 7

    def __init__(self) -> None:
        first = 1 if self.is_signed else 2
        self.map = dynamic_map(self.decades, first, is_signed=self.is_signed)
        self.zero = self.map.index(0.0)
        positive = self.map[self.zero :]
        self.steps: list[Decade] = []
        for decade in range(self.decades):
            count = first << decade
            at = count if self.is_signed else count - 1
            begin = _between(positive[at - 1], positive[at])
            factor = _rounded(count * 10.0 ** (self.decades - 1 - decade) / 0.9)
            self.steps.append(Decade(begin, factor, float(count)))
        self.last = _between(positive[-2], positive[-1])

    def scales_of(self, largest: Tensor) -> Tensor:
        """Return the scales: the largest absolute value."""
        return largest

    def codes_of(self, blocks: Tensor, scales: Tensor) -> Tensor:
        """Return the codes of the nearest numbers of the map."""
        shares = (blocks * (1.0 / scales.clamp(min=TINY))).nan_to_num(0.0)
        sizes = shares.abs() if self.is_signed else shares
        factors, counts = torch.zeros_like(sizes), torch.full_like(sizes, 0.5)
        for decade in self.steps:
            reached = sizes >= decade.begin
            factors = torch.where(reached, decade.factor, factors)
            counts = torch.where(reached, decade.numbers, counts)
        numbers = torch.minimum(sizes * factors + counts * EIGHT_NINTHS, counts + counts - 1.0)
        found = numbers.to(torch.int32) + (sizes >= self.last).to(torch.int32)
        if not self.is_signed:
            return (found - 1).clamp(min=(blocks > 0).to(torch.int32)).to(self.code)
        below = self.zero - found.clamp(max=self.zero)
        return torch.where(shares < 0, below, found + self.zero).to(self.code)

    def numbers_of(self, codes: Tensor, scales: Tensor) -> Tensor:
        """Return numbers of the map, times the scale."""
        return (
            torch.tensor(self.map, dtype=torch.float32, device=codes.device)[codes.long()] * scales
        )


def _between(low: float, high: float) -> float:
    """Return the middle between two numbers, as float32."""
    return _rounded((low + high) / 2)


def _rounded(number: float) -> float:
    return float(torch.tensor(number, dtype=torch.float32, device="cpu"))


EIGHT_NINTHS = _rounded(8 / 9)
"""The number of steps that a decade's first number lies above the decade before, less a half."""


class Dynamic8(Dynamic):
    """The map with a sign."""

    name = "dynamic8"
    is_signed = True
    step = 0.008


class UDynamic8(Dynamic):
    """The map without one."""

    name = "udynamic8"
    is_signed = False
    is_for_squares = True
    step = 0.004
