"""Codes of other packages that mean here what they mean there, and need not be decoded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from schuss.storage.codecs import CODECS, Codec, Encoded
from schuss.storage.codecs.floats import E4M3
from schuss.storage.codecs.saved import forms_of


def of_map(codes: Tensor, scales: Tensor, numbers: Tensor, shape: torch.Size) -> Encoded | None:
    """Return a tensor that is kept as places in a map; None if no codec here has this map.

    Args:
        codes: The places, one for each number, or two in each byte.
        scales: The scale of each block.
        numbers: The map.
        shape: The shape of the tensor.
    """
    for codec in CODECS.values():
        found = _joined(codec, codes, scales, shape)
        is_as_large = numbers.numel() == 256 ** (1 / codec.per_byte)
        if found is not None and is_as_large and torch.equal(_map_of(codec), numbers.float().cpu()):
            return found
    return None


def _joined(codec: Codec, codes: Tensor, scales: Tensor, shape: torch.Size) -> Encoded | None:
    """Return the tensor of codes and scales; None if a codec has other ones for its shape."""
    forms = forms_of(codec, shape)
    if not all(form.fits(x) for form, x in zip(forms, (codes, scales), strict=True)):
        return None
    return Encoded(codec, forms[0].of(codes), forms[1].of(scales), shape)


def _map_of(codec: Codec) -> Tensor:
    """Return the numbers of all codes, in blocks with a scale of 1."""
    count = round(256 ** (1 / codec.per_byte))
    every = torch.arange(count, dtype=codec.code, device="cpu")
    return codec.numbers_of(every, torch.ones(1, dtype=torch.float32, device="cpu"))


def kept(value: Any) -> Any:
    """Return a value of a state; one of a class of torchao as an encoded or a plain tensor."""
    if not isinstance(value, Tensor) or type(value) is Tensor or not hasattr(value, "codes"):
        return value
    codes, scales = value.codes, getattr(value, "scale", None)
    numbers, shape = getattr(value, "qmap", None), value.shape
    found = None
    if scales is not None and numbers is not None:
        found = of_map(codes, scales, numbers, shape)
    elif scales is not None and codes.dtype is E4M3.dtype:
        found = _of_float8(codes.view(E4M3.code), scales, shape)
    decoded: Any = value
    return decoded.dequantize() if found is None else found


def _of_float8(codes: Tensor, scales: Tensor, shape: torch.Size) -> Encoded | None:
    """Return a tensor that is kept in 8-bit floating point; its scale here is its largest number.

    There, it is what the largest number of the format stands for, divided by that number.
    """
    return _joined(CODECS[E4M3.name], codes, scales * E4M3.largest, shape)
