r"""The codecs of FlashOptim, code for code: here so that trainings with it can go on.

Where $s$ is the largest absolute value of a block of 32 numbers, or of their roots:

- `flash_int8`, for averages of gradients: 127 steps of $2y / (1 + |y|)$ with $y = x / s$.
- `flash_uint8`, for averages of squares: 255 steps of $\sqrt x / s$. A number whose root is less
  than $s / 510$ becomes 0. A step divides by its root, and can be thousands of times too large:
  `uint8` differs in this, and is the better choice for a new training.

A scale is kept in float16, and numbers are divided by the one that is not rounded yet. Averages
of gradients below 3e-8 and squares below 9e-16 have a scale of 0, and are lost; those above 65,504
and 4.3e9 are infinite.

Gonzalez Ortiz, Gupta, Renard and Blalock, *FlashOptim: Optimizers for Memory Efficient Training*,
2026, section 3. <https://arxiv.org/abs/2602.23349>
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from schuss.storage.codecs.codec import Codec

LEAST: Final = float(torch.tensor(1e-12, dtype=torch.float32, device="cpu"))
"""The least number that a block is divided by."""


class Flash(Codec):
    """The part that both have in common."""

    block = 32
    scale = torch.float16

    def scales_of(self, largest: Tensor) -> Tensor:
        """Return what blocks are divided by, rounded."""
        return self.divisors(largest, largest).to(self.scale)


class FlashInt8(Flash):
    """A sign and 127 steps, equal steps of 2y / (1 + |y|)."""

    name = "flash_int8"
    code = torch.int8
    step = 0.01
    is_signed = True

    def divisors(self, largest: Tensor, scales: Tensor) -> Tensor:
        """Return the largest absolute values."""
        return largest.clamp(min=LEAST)

    def codes_of(self, blocks: Tensor, scales: Tensor) -> Tensor:
        """Return the nearest steps; the upper one of two that are equally near."""
        shares = blocks / scales
        companded = (2.0 * shares / (1.0 + shares.abs())).nan_to_num(0.0)
        return (companded * 127.0 + 0.5).floor().to(self.code)

    def numbers_of(self, codes: Tensor, scales: Tensor) -> Tensor:
        """Return the numbers of steps, times the scale."""
        companded = codes.float() / 127.0
        return companded / (2.0 - companded.abs()) * scales


class FlashUInt8(Flash):
    """255 equal steps of the root."""

    name = "flash_uint8"
    code = torch.uint8
    step = 0.006
    is_signed = False
    is_for_squares = True

    def divisors(self, largest: Tensor, scales: Tensor) -> Tensor:
        """Return the roots of the largest numbers."""
        return largest.sqrt().clamp(min=LEAST)

    def codes_of(self, blocks: Tensor, scales: Tensor) -> Tensor:
        """Return the nearest steps; the upper one of two that are equally near."""
        shares = (blocks.clamp(min=0.0).sqrt() / scales).nan_to_num(0.0)
        return (shares * 255.0 + 0.5).floor().to(self.code)

    def numbers_of(self, codes: Tensor, scales: Tensor) -> Tensor:
        """Return the squares of steps times the scale."""
        roots = codes.float() / 255.0 * scales
        return roots * roots
