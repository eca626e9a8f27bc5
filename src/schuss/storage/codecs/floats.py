r"""The codecs of 8-bit floating-point numbers: an exponent of its own for each number.

A block is divided by its largest absolute value, multiplied with the largest number of a format,
and rounded to the nearest number of it. The error is a share of the number itself, and not of the
largest number of its block, so a block may be long. It has 256 numbers, as with torchao.

- `fp8_e4m3`: 3 binary digits behind the point, for averages of gradients. Numbers below 2.2e-6 of
  the largest number of their block become 0.
- `fp8_e5m2`: 2 binary digits, and twice as many decades, for averages of squares: squares of
  numbers in five decades lie in ten. A number above 0 never becomes 0, since a step divides by its
  root. The smallest is 2.7e-10 of the largest number of the block.

Both formats have a sign, and keep it. The largest number of a block becomes the largest number of
the format, so that none is too large for it. Codes are the bytes of the numbers, because few
operations and file formats know such numbers.

Micikevicius et al., *FP8 Formats for Deep Learning*, 2022, section 3.
<https://arxiv.org/abs/2209.05433>
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from schuss.storage.codecs.codec import TINY, Codec


class Float8(Codec):
    """The part that both have in common.

    Attributes:
        dtype: The dtype of torch whose numbers are kept.
        digits: How many binary digits behind the point a number has.
        bias: The number that is added to an exponent where it is kept.
        largest: The largest finite number.
    """

    block = 256
    code = torch.uint8
    scale = torch.float32
    is_signed = True
    dtype: ClassVar[torch.dtype]
    digits: ClassVar[int]
    bias: ClassVar[int]
    largest: ClassVar[float]

    def scales_of(self, largest: Tensor) -> Tensor:
        """Return the scales: the largest absolute value."""
        return largest

    def codes_of(self, blocks: Tensor, scales: Tensor) -> Tensor:
        """Return the bytes of the nearest numbers of the format."""
        shares = (blocks * (1.0 / scales.clamp(min=TINY))).nan_to_num(0.0)
        return (shares * self.largest).to(self.dtype).view(self.code)

    def numbers_of(self, codes: Tensor, scales: Tensor) -> Tensor:
        """Return numbers of the format, as shares of the largest, times the scale."""
        return codes.view(self.dtype).float() * (1.0 / self.largest) * scales


class E4M3(Float8):
    """4 bits for the exponent, 3 for the digits."""

    name = "fp8_e4m3"
    dtype = torch.float8_e4m3fn
    digits, bias, largest = 3, 7, 448.0
    step = 0.036


class E5M2(Float8):
    """5 bits for the exponent, 2 for the digits; 0 is for numbers that are not above 0."""

    name = "fp8_e5m2"
    dtype = torch.float8_e5m2
    digits, bias, largest = 2, 15, 57344.0
    is_for_squares = True
    step = 0.072

    def codes_of(self, blocks: Tensor, scales: Tensor) -> Tensor:
        """Return the bytes of the nearest numbers of the format; for a number above 0, not of 0."""
        codes = super().codes_of(blocks, scales)
        return torch.where(blocks > 0, codes.clamp(min=1), codes)
