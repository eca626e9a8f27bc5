"""Operations on the bits of float32: a number as one of bfloat16, and what remains of it.

A number of bfloat16 is the upper half of one of float32. The lower half, read as a whole number
with a sign, is the *remainder*: `upper` rounds to the nearest number of bfloat16, ties away from
zero, and so the remainder is what was added or taken away, in units of the last place of float32.
It takes 16 bits (int16), or 8 if the number is rounded to 24 bits first (int8). `join` gives the
number back, bit for bit; a payload of NaN is lost.

A remainder may meet a parameter that somebody else has written to. Then the number is less than one
unit in the last place of bfloat16 from what was written, and zero stays zero but for the smallest
numbers: a sum that would change the sign is not made.

The functions here are for tensors, and say what every engine computes. They are exact, so that
autograd, which cannot look through bits, may take each for the identity.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from schuss.storage.kinds import KINDS
from schuss.storage.ranks import divided_as, is_distributed

SHIFTS: Final = {"int16": 0, "int8": 8}
"""How many of the last bits of float32 are not kept, by the kind of the remainder."""

_NAN = 0x7FC00000
_WORD = 0xFFFFFFFF


def rounds_to(dtype: torch.dtype, number: Tensor, half: Tensor) -> Tensor:
    """Tell where numbers become others when they are rounded, bit for bit.

    They are compared as integers: inductor takes a rounding between two computations for
    superfluous, and no number for one that rounds to another.

    Args:
        dtype: A dtype of half precision.
        number: The numbers.
        half: The others, which have that precision, if not that dtype.
    """
    return number.to(dtype).view(torch.int16) == half.to(dtype).view(torch.int16)


def join(kind: str, half: Tensor, remainder: Tensor) -> Tensor:
    """Return numbers of float32 from numbers of bfloat16 and their remainders."""
    half = half.float()
    bits = half.detach().view(torch.int32)
    joined = bits + remainder.detach().to(torch.int32) * (1 << SHIFTS[kind])
    return _like(half, torch.where((joined ^ bits) >= 0, joined, bits))


def upper(kind: str, number: Tensor) -> Tensor:
    """Return numbers rounded to bfloat16, ties away from zero, in float32."""
    return _like(number, _upper_bits(_kept_bits(kind, number)))


def lower(kind: str, number: Tensor) -> Tensor:
    """Return the remainders of numbers, whole numbers in float32."""
    bits = _kept_bits(kind, number)
    # By its name: the operator >> of a DTensor changes nothing, in torch 2.13.
    return torch.bitwise_right_shift(bits - _upper_bits(bits), SHIFTS[kind]).to(number.dtype)


def stochastic(number: Tensor, stream: float | Tensor, step: float | Tensor) -> Tensor:
    """Return numbers rounded to bfloat16 up or down at random, so that the mean is the number.

    The random bits belong to the element, the stream (one for each parameter) and the step. Of two
    streams, or two steps, none is a part of the other.

    Args:
        number: The numbers.
        stream: The number of the stream, less than 2**24.
        step: The number of the step. From 2**24 on two steps share their bits.
    """
    bits = number.detach().view(torch.int32)
    up = _noise(number, stream, step)
    rounded = (bits + up) & -0x10000
    is_finite = (bits & 0x7FFFFFFF) < 0x7F800000
    return _like(number, torch.where(is_finite, rounded, _upper_bits(bits)))


def keys(stream: Any, step: Any) -> tuple[Any, Any]:
    """Return two words from which every element of a stream makes its bits, by `mixed`."""
    first = mixed(step ^ mixed((stream + 0x9E3779B9) & _WORD))
    return first, mixed(first ^ 0x85EBCA6B)


def mixed(word: Any, more: Any = 0) -> Any:
    """Return 32 bits that depend on all 32 bits of a word.

    The form and the constants are those that Wellons' search for good hashes has found
    (*Prospecting for Hash Functions*, 2018; <https://github.com/skeeto/hash-prospector>). Both
    constants are below 2**31, so that no product overflows 64 bits.

    Args:
        word: A whole number from 0 to 2**32 - 1, or a tensor of int64 with such numbers.
        more: Another one, to be added in the middle.
    """
    word = ((word ^ (word >> 16)) * 0x21F0AAAD) & _WORD
    word = (((word ^ (word >> 15)) + more & _WORD) * 0x735A2D97) & _WORD
    return word ^ (word >> 15)


def _like(number: Tensor, bits: Tensor) -> Tensor:
    """Return bits as float32; for autograd, the number itself."""
    made = bits.view(torch.float32)
    return number + (made - number.detach()) if number.requires_grad else made


def _kept_bits(kind: str, number: Tensor) -> Tensor:
    """Return the bits of a number, rounded to those that are kept; the same for every NaN."""
    bits = number.detach().view(torch.int32)
    if SHIFTS[kind]:
        bits = torch.where(number.isnan(), bits, (bits + 0x80) & -0x100)
    return torch.where(number.isnan(), _NAN, bits)


def _upper_bits(bits: Tensor) -> Tensor:
    """Return the bits of numbers rounded to bfloat16, where they are not NaN."""
    is_nan = (bits & 0x7FFFFFFF) > 0x7F800000
    return torch.where(is_nan, _NAN, (bits + 0x8000) & -0x10000)


def _noise(number: Tensor, stream: float | Tensor, step: float | Tensor) -> Tensor:
    """Return 16 random bits for each element, in the order of the elements in memory."""
    device = number.device
    first, second = keys(*(_word_of(x, device) for x in (stream, step)))
    element = torch.arange(number.numel(), dtype=torch.int64, device=device).view(number.shape)
    if not is_distributed(number) and number.numel() and not number.is_contiguous():
        element = _in_memory(number, element)
    noise = (mixed((element + first) & _WORD, second) >> 16).to(torch.int32)
    return divided_as(noise, number) if is_distributed(number) else noise


def _word_of(number: float | Tensor, device: torch.device) -> Tensor:
    """Return a whole number as a tensor, exactly."""
    if isinstance(number, Tensor):
        return number.to(device, torch.int64)
    return torch.tensor(int(number), dtype=torch.int64, device=device)


def _in_memory(number: Tensor, element: Tensor) -> Tensor:
    """Return how many elements lie before each in memory, if a tensor has no gaps."""
    sizes = sorted(zip(number.stride(), number.shape, strict=True))
    expected = 1
    for stride, size in sizes:
        if size != 1 and stride != expected:
            return element
        expected *= size
    offsets = element.new_zeros(number.shape)
    for dim, (stride, size) in enumerate(zip(number.stride(), number.shape, strict=True)):
        shape = [1] * number.dim()
        shape[dim] = size
        offsets = offsets + (
            torch.arange(size, dtype=torch.int64, device=element.device) * stride
        ).view(shape)
    return offsets


JOINS, UPPERS, LOWERS = (
    {kind: f"{name}_{kind}" for kind in SHIFTS} for name in ("join", "upper", "lower")
)
"""The names that these functions have as operations of programs, by the kind of the remainder."""

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "stochastic": stochastic,
    **{name: partial(join, kind) for kind, name in JOINS.items()},
    **{name: partial(upper, kind) for kind, name in UPPERS.items()},
    **{name: partial(lower, kind) for kind, name in LOWERS.items()},
}
"""The functions by these names."""

ROUNDINGS = {kind.name: f"rounds_to_{kind.name}" for kind in KINDS.values() if kind.is_half}
"""Operations that tell whether a number rounds to another one, by the kind of the other."""

COMPARISONS: dict[str, Callable[..., Tensor]] = {
    name: partial(rounds_to, KINDS[kind].dtype) for kind, name in ROUNDINGS.items()
}
"""These as functions, by name."""
