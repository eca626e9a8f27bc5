"""Kinds of numbers, as they are stored in memory and as kernels compute with them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}
"""The size of one number in bytes, by its kind."""

KINDS = {
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
    torch.float32: "float32",
    torch.float64: "float64",
    torch.complex64: "float32",
    torch.complex128: "float64",
}
"""The kind of the real numbers that a tensor of a dtype consists of."""

LOADED = {kind: "float64" if kind == "float64" else "float32" for kind in BYTES}
"""The kind that a kernel computes with after it has loaded a number, by the kind in memory."""


def bytes_of(tensor: Tensor) -> int:
    """Return how many bytes each real number of a tensor has."""
    return BYTES[KINDS[tensor.dtype]]


class Kinds(NamedTuple):
    """The kinds of numbers of a cohort, the parameters that one program serves.

    Two cohorts with the same program and the same kinds share a kernel.

    Attributes:
        real: The kind that the kernel computes in, `float32` or `float64`.
        at: Pairs of a place, such as `grad` or `state.exp_avg`, and the kind of its numbers.
        made: The kind of the numbers at places that the program itself adds to the state.
    """

    real: str
    at: tuple[tuple[str, str], ...]
    made: str
