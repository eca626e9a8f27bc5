"""Kinds of numbers: how they lie in memory, and how rules and kernels compute with them.

Engines ask the tables here, and name no dtype themselves. A device adds to each kind only how its
compiler loads and stores such a number, in one dictionary of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Kind(NamedTuple):
    """A way to keep a real number in memory.

    Attributes:
        name: Its name, which torch, NumPy and compilers share.
        dtype: The dtype of real tensors of this kind.
        bytes: The size of one number.
        computed: The name of the kind that a number is computed with after it has been loaded.
        method: torch's method that converts a tensor to this kind.
    """

    name: str
    dtype: torch.dtype
    bytes: int
    computed: str
    method: str

    @property
    def is_rounded(self) -> bool:
        """Whether a number loses digits when it is stored after a computation."""
        return self.computed != self.name

    @property
    def is_half(self) -> bool:
        """Whether it is half precision, in which parameters and the state of a rule may be."""
        return self.is_rounded and self.dtype.is_floating_point


KINDS = {
    kind.name: kind
    for kind in (
        Kind("bfloat16", torch.bfloat16, 2, "float32", "bfloat16"),
        Kind("float16", torch.float16, 2, "float32", "half"),
        Kind("float32", torch.float32, 4, "float32", "float"),
        Kind("float64", torch.float64, 8, "float64", "double"),
        Kind("int8", torch.int8, 1, "float32", "char"),
        Kind("int16", torch.int16, 2, "float32", "short"),
    )
}
"""All kinds that kernels know, by their names.

Whole numbers are computed with as float32, which has each of them exactly. Kernels store only
numbers that are whole and within the kind, as remainders of weights are.
"""

PARTS = {torch.complex64: torch.float32, torch.complex128: torch.float64}
"""The dtype of the real and imaginary parts of complex numbers, which lie side by side.

torch has it as `dtype.to_real`, which Dynamo does not know.
"""

CODES = {kind.dtype: kind.name for kind in KINDS.values() if not kind.dtype.is_floating_point}
"""The names of the kinds of whole numbers, by dtype. Parameters and gradients have none of them."""

KIND_OF = {kind.dtype: kind.name for kind in KINDS.values() if kind.dtype not in CODES}
KIND_OF |= {dtype: KIND_OF[real] for dtype, real in PARTS.items()}
"""The name of the kind of the real numbers that a tensor of a dtype consists of."""

DTYPES = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float8_e4m3fn, torch.float8_e5m2, *KIND_OF),
)
"""The dtypes that a tensor may come to have, also those that no rule computes with."""


def bytes_of(tensor: Tensor) -> int:
    """Return how many bytes each real number of a tensor has."""
    return KINDS[KIND_OF.get(tensor.dtype) or CODES[tensor.dtype]].bytes


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
