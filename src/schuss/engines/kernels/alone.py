"""Which tensors nobody can reach but their owner.

To change a tensor is to have a reference to it: to its object in Python, to torch's object behind
it, or to the memory, which views of it and arrays of NumPy refer to. Each of these counts its
references, also weak ones. A tensor whose counts are those of a tensor that was just made, and put
where its owner keeps it, is known to nobody else.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Sequence

import torch
from torch import Tensor

from schuss.engines.devices.cpu.torch_layout import references


def alone(tensors: Sequence[Tensor], holders: int) -> list[Tensor]:
    """Return those tensors that nobody refers to but some containers of their owner.

    Args:
        tensors: The tensors, in one of these containers. torch lets them be read.
        holders: How many containers hold each of them, with this one.
    """
    made = [torch.empty(1, dtype=torch.float32, device="cpu")]
    _others = [list(made) for _ in range(holders - 1)]
    (expected,) = map(_references, made)
    counts = list(map(_references, tensors))  # before anything here holds one of them
    return [tensor for tensor, found in zip(tensors, counts, strict=True) if found == expected]


def _references(tensor: Tensor) -> tuple[int, ...]:
    """Return all that counts the references to a tensor and to its memory."""
    storage = tensor.untyped_storage()
    strong = sys.getrefcount(tensor), sys.getrefcount(storage)
    weak = weakref.getweakrefcount(tensor), weakref.getweakrefcount(storage)
    return (*strong, *weak, references(tensor), references(storage))
