"""The codecs of 4 bits a number, as torchao keeps state.

A block is divided by its largest absolute value, and each number becomes the nearest one of 16:

- `int4`: of three decades with a sign, for averages of gradients.
- `uint4`: of 1/16, 2/16, ..., 1, for averages of squares. There is no 0, because a step divides by
  the root of the number.

The codes of two numbers lie in one byte, the first one in its upper half. So few numbers are
coarse: an average of gradients hardly follows them, and trainings often end with a larger loss.

Li, Chen and Zhu, *Memory Efficient Optimizers with 4-bit States*, 2023, section 4.
<https://arxiv.org/abs/2309.01507>
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from schuss.storage.codecs.codec import TINY, Codec
from schuss.storage.codecs.dynamic import dynamic_map


class FourBits(Codec):
    """The part that both have in common."""

    block = 128
    code = torch.uint8
    scale = torch.float32
    per_byte = 2
    zero: ClassVar[int]
    """The code of 0, or the one that is nearest to it."""

    def shape_of_codes(self, shape: torch.Size) -> torch.Size:
        """Return the shape of the bytes of a tensor of some shape: in rows, if these are whole."""
        if self.has_whole_rows(shape):
            return torch.Size([shape[0], shape[1:].numel() // self.per_byte])
        return torch.Size([-(-shape.numel() // self.per_byte)])

    def packed(self, codes: Tensor) -> Tensor:
        """Return bytes of two codes each."""
        flat = codes.reshape(-1)
        pairs = torch.nn.functional.pad(flat, (0, flat.numel() % 2), value=self.zero)
        pairs = pairs.view(-1, 2)
        return (pairs[:, 0] << 4) | pairs[:, 1]

    def unpacked(self, codes: Tensor, numbers: int) -> Tensor:
        """Return the codes in bytes, one for each number."""
        flat = codes.reshape(-1)
        return torch.stack([flat >> 4, flat & 15], dim=1).view(-1)[:numbers]

    def scales_of(self, largest: Tensor) -> Tensor:
        """Return the scales: the largest absolute value."""
        return largest


class Int4(FourBits):
    """Sixteen numbers in three decades, with a sign."""

    name = "int4"
    is_signed = True
    step = 0.12
    zero = 7

    def __init__(self) -> None:
        self.sizes = dynamic_map(3, 1, is_signed=True)[self.zero :]
        middles = torch.tensor(self.sizes, dtype=torch.float64, device="cpu")
        self.begins: list[float] = ((middles[:-1] + middles[1:]) / 2).float().tolist()

    def codes_of(self, blocks: Tensor, scales: Tensor) -> Tensor:
        """Return the codes of the nearest numbers."""
        shares = (blocks * (1.0 / scales.clamp(min=TINY))).nan_to_num(0.0)
        begins = torch.tensor(self.begins, dtype=torch.float32, device=shares.device)
        found = torch.bucketize(shares.abs(), begins, right=True)
        below = self.zero - found.clamp(max=self.zero)
        return torch.where(shares < 0, below, found + self.zero).to(self.code)

    def numbers_of(self, codes: Tensor, scales: Tensor) -> Tensor:
        """Return numbers of the map, times the scale."""
        places = codes.int() - self.zero
        every = torch.tensor(self.sizes, dtype=torch.float32, device=codes.device)
        sizes = every[places.abs()]
        return torch.where(places < 0, -sizes, sizes) * scales


class UInt4(FourBits):
    """Sixteen numbers in equal steps, from 1/16 to 1."""

    name = "uint4"
    is_signed = False
    is_for_squares = True
    zero = 0
    step = 1 / 16

    def codes_of(self, blocks: Tensor, scales: Tensor) -> Tensor:
        """Return the codes of the nearest numbers."""
        shares = (blocks * (1.0 / scales.clamp(min=TINY))).nan_to_num(0.0)
        return (shares * 16.0 - 0.5).clamp(0.0, 15.0).to(self.code)

    def numbers_of(self, codes: Tensor, scales: Tensor) -> Tensor:
        """Return numbers of the map, times the scale."""
        return (codes.float() + 1.0) * (1 / 16) * scales
