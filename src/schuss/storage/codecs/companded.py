r"""Companded codecs: 8 bits a number, finer near zero than near the largest number of a block.

To *compand* numbers is to keep a function of them that grows fast at first, here the root: small
numbers get more codes then. Both codecs keep $\sqrt{|x| / s}$ in equal steps, where $s$ is the
scale of the block:

- `int8`: the sign and 7 bits, for averages of gradients. The smallest number of a block is
  $s / 127^2$.
- `uint8`: 8 bits, for averages of squares, which are never negative. The smallest number is
  $s / 255^2$. A number that is not 0 never becomes 0, since a step divides by its root.

Scales are bfloat16, which has the range of float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.storage.codecs.codec import TINY, Codec


def _reciprocals(scales: Tensor, most: float) -> Tensor:
    """Return what a root is multiplied with to become a code.

    `most / roots` would be another number: torch multiplies with the reciprocal then.
    """
    roots = scales.clamp(min=TINY).sqrt()
    return torch.full_like(roots, most) / roots


class Companded(Codec):
    """The part that both have in common."""

    block = 32
    scale = torch.bfloat16

    def scales_of(self, largest: Tensor) -> Tensor:
        """Return the scales: the largest absolute value, to the nearest."""
        return largest.to(self.scale)


class Int8(Companded):
    """A sign and 7 bits of the root."""

    name = "int8"
    code = torch.int8
    step = 0.01
    is_signed = True

    def codes_of(self, blocks: Tensor, scales: Tensor) -> Tensor:
        """Return the codes: roots in steps of 1/127, with the sign of the number."""
        roots = (blocks.abs().sqrt() * _reciprocals(scales, 127.0)).nan_to_num(0.0)
        return roots.round().copysign(blocks).to(self.code)

    def numbers_of(self, codes: Tensor, scales: Tensor) -> Tensor:
        """Return the squares of the roots, with the sign of the code."""
        roots = codes.float()
        return roots * roots.abs() * (scales * (1 / 127.0**2))


class UInt8(Companded):
    """8 bits of the root."""

    name = "uint8"
    code = torch.uint8
    step = 0.005
    is_signed = False
    is_for_squares = True

    def codes_of(self, blocks: Tensor, scales: Tensor) -> Tensor:
        """Return the codes: roots in steps of 1/255; 0 is for 0 alone."""
        numbers = blocks.clamp(min=0.0)
        codes = (numbers.sqrt() * _reciprocals(scales, 255.0)).nan_to_num(0.0).round()
        return torch.where(numbers > 0, codes.clamp(min=1.0), codes).to(self.code)

    def numbers_of(self, codes: Tensor, scales: Tensor) -> Tensor:
        """Return the squares of the roots."""
        roots = codes.float()
        return roots * roots * (scales * (1 / 255.0**2))
