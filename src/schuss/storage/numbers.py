"""Numbers, in whatever libraries and files hold them."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from schuss.contract import scalar_dtype

NUMBER = torch.float64
"""The precision of Python's numbers.

Tensors have it that hold such numbers, and so have sums over many numbers of any precision.
"""

FLAG = torch.float32
"""The precision of a number that is not 0 if a step is to be left out, as `GradScaler` has it."""


def as_number(value: Any) -> bool | int | float | None:
    """Return the real number that `value` is or holds, exactly; None if it is none.

    It may be a Python number, one of NumPy's, or a tensor or an array of one element.
    """
    if isinstance(value, Tensor):
        if value.numel() != 1 or value.is_meta:
            return None
        value = value.detach().item()
    elif not isinstance(value, Real) and getattr(value, "size", None) == 1:
        value = value.item()  # an array, or NumPy's bool, which is no Python number
    if isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else None


def number_dtype(device: str) -> torch.dtype:
    """Return the precision of a tensor that takes the place of a number of Python on a device.

    It is that of Python's numbers, except on Apple's GPUs, which have no float64.

    Args:
        device: The type of the device, such as `cpu`.
    """
    return torch.float32 if device == "mps" else NUMBER


def as_tensor(number: float) -> Tensor:
    """Return a number as a 0-d tensor, in the precision that `torch.optim` gives a step count.

    The precision is float32, unless torch's default is float64. A number that float32 cannot hold
    is kept in float64: from 2**24 on float32 rounds whole numbers, and a count that is rounded
    there would never go on.
    """
    wide = torch.tensor(float(number), dtype=NUMBER, device="cpu")
    tensor = wide.to(scalar_dtype())
    return tensor if tensor.item() == number else wide
