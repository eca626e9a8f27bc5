"""Codecs: how a tensor of a state is kept in fewer bytes than a rule computes with.

A codec cuts the numbers of a tensor into blocks and keeps, for each block, a *scale* (its largest
absolute value), and for each number a *code*, a small whole number. The functions here are the
specification: kernels have to leave the same codes, bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

TINY = 2.0**-126
"""The smallest normal float32; numbers of a block with a smaller scale come back smaller still."""


class Codec(ABC):
    """A way to keep a tensor in few bytes.

    Attributes:
        name: Its name, for users, in kernels, and in the keys of checkpoints.
        block: How many numbers share a scale.
        code: The dtype of the codes.
        scale: The dtype of the scales.
        per_byte: How many numbers a byte has the codes of.
        step: The largest error of a number, as a share of the largest number of its block.
        is_signed: Whether it keeps negative numbers; a negative number becomes 0 if it does not.
        is_for_squares: Whether it is for averages of squares, whose small numbers others lose.
    """

    name: ClassVar[str]
    block: ClassVar[int]
    code: ClassVar[torch.dtype]
    scale: ClassVar[torch.dtype]
    per_byte: ClassVar[int] = 1
    step: ClassVar[float]
    is_signed: ClassVar[bool]
    is_for_squares: ClassVar[bool] = False

    def encoded(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes and the scales of float32 numbers.

        Args:
            numbers: The numbers, of any shape.

        Returns:
            The codes, as `packed` leaves them, and one scale for each block, in a row.
        """
        blocks = self._blocks(numbers.detach().reshape(-1))
        largest = blocks.abs().amax(dim=1) if len(blocks) else blocks.sum(dim=1)
        scales = self.scales_of(largest)
        by = self.divisors(largest, scales).unsqueeze(1)
        codes = self.codes_of(blocks, by).view(-1)[: numbers.numel()]
        return self.packed(codes.view(numbers.shape)), scales

    def decoded(self, codes: Tensor, scales: Tensor, shape: torch.Size) -> Tensor:
        """Return the float32 numbers that codes and scales stand for, in a shape."""
        blocks = self._blocks(self.unpacked(codes, shape.numel()))
        numbers = self.numbers_of(blocks, scales.reshape(-1, 1).float())
        return numbers.view(-1)[: shape.numel()].view(shape)

    def _blocks(self, flat: Tensor) -> Tensor:
        """Return numbers or codes as rows, one for each block, with zeros at the end."""
        padded = torch.nn.functional.pad(flat, (0, -flat.numel() % self.block))
        return padded.view(-1, self.block)

    def has_whole_rows(self, shape: torch.Size) -> bool:
        """Tell whether no block has numbers of two rows, which then can be kept apart."""
        return len(shape) > 1 and shape.numel() > 0 and not shape[1:].numel() % self.block

    def shape_of_scales(self, shape: torch.Size) -> torch.Size:
        """Return the shape of the scales of a tensor of some shape: in rows, if these are whole."""
        if self.has_whole_rows(shape):
            return torch.Size([shape[0], shape[1:].numel() // self.block])
        return torch.Size([-(-shape.numel() // self.block)])

    def shape_of_codes(self, shape: torch.Size) -> torch.Size:
        """Return the shape of the codes of a tensor of some shape."""
        return shape

    def packed(self, codes: Tensor) -> Tensor:
        """Return codes, one for each number, as they lie in memory."""
        return codes

    def unpacked(self, codes: Tensor, numbers: int) -> Tensor:
        """Return codes, one for each number, as a vector."""
        return codes.reshape(-1)

    def fault(self, codes: Tensor, scales: Tensor, shape: torch.Size) -> str | None:
        """Return why codes and scales are none of a tensor of some shape, or None if they are."""
        right = {
            "codes": (codes, self.code, self.shape_of_codes(shape)),
            "scales": (scales, self.scale, self.shape_of_scales(shape)),
        }
        for name, (part, dtype, size) in right.items():
            if (part.dtype, part.shape) != (dtype, size) or not part.is_contiguous():
                return (
                    f"{name} of {part.dtype} and shape {tuple(part.shape)}, where {self.name} has "
                    f"contiguous ones of {dtype} and shape {tuple(size)}"
                )
        return None

    @property
    def bytes(self) -> float:
        """How many bytes a number takes, with its share of the scale."""
        return 1 / self.per_byte + self.scale.itemsize / self.block

    @abstractmethod
    def scales_of(self, largest: Tensor) -> Tensor:
        """Return the scales of blocks, given the largest absolute value of each, in float32."""

    def divisors(self, largest: Tensor, scales: Tensor) -> Tensor:
        """Return the scales by which blocks are divided, in float32: those that are kept.

        Args:
            largest: The largest absolute value of each block.
            scales: The scales as they are kept.
        """
        return scales.float()

    @abstractmethod
    def codes_of(self, blocks: Tensor, scales: Tensor) -> Tensor:
        """Return the codes of blocks.

        Args:
            blocks: Rows of float32 numbers.
            scales: The scale of each row, as `divisors` returns it; a column.
        """

    @abstractmethod
    def numbers_of(self, codes: Tensor, scales: Tensor) -> Tensor:
        """Return the float32 numbers that rows of codes stand for."""

    def __repr__(self) -> str:
        """Return its name."""
        return f"<codec {self.name}>"
