"""Kinds of numbers, as they are stored."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}
"""Bytes of one number."""

KINDS = {
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
    torch.float32: "float32",
    torch.float64: "float64",
    torch.complex64: "float32",
    torch.complex128: "float64",
}
"""How a tensor stores its real numbers."""

LOADED = {kind: "float64" if kind == "float64" else "float32" for kind in BYTES}
"""The type of a number that was loaded, by how it is stored."""


def bytes_of(tensor: Tensor) -> int:
    """Return how many bytes each real number of a tensor has."""
    return BYTES[KINDS[tensor.dtype]]


class Kinds(NamedTuple):
    """How the numbers of a cohort are stored: part of what makes a kernel.

    Attributes:
        real: What is computed in, `float32` or `float64`.
        at: How the numbers at each place are stored, by its name.
        made: How those at places are stored that the program makes.
    """

    real: str
    at: tuple[tuple[str, str], ...]
    made: str
