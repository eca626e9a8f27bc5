"""Which memory tensors have, and which of them share some."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

Bounds: TypeAlias = "NDArray[np.int64]"


def has_memory(tensor: Tensor) -> bool:
    """Tell whether the numbers of a tensor lie in memory of its device as they are.

    Those of a lazily conjugated or negated tensor do not, nor do those of a subclass that wraps
    another tensor, and a tensor on the meta device has none.
    """
    return (
        type(tensor) in (Tensor, torch.nn.Parameter)
        and tensor.layout is torch.strided
        and tensor.device.type != "meta"
        and not tensor.is_conj()
        and not tensor.is_neg()
        and not tensor._is_zerotensor()
    )


def span(tensor: Tensor) -> int:
    """Return how many bytes lie between the first and the last number of a tensor, with these."""
    return _span(tensor.shape, tensor.stride()) * tensor.element_size()


def _span(shape: Sequence[int], strides: Sequence[int]) -> int:
    steps = zip(shape, strides, strict=True)
    return 0 if 0 in shape else 1 + sum((size - 1) * stride for size, stride in steps)


class StridedLike(NamedTuple):
    """The form that a tensor has to have for a kernel to take it as it lies in memory."""

    dtype: torch.dtype
    device: torch.device
    shape: torch.Size
    stride: tuple[int, ...]
    is_contiguous: bool

    def fits(self, tensor: Tensor) -> bool:
        """Tell whether a tensor is like this."""
        return (
            has_memory(tensor)
            and tensor.dtype is self.dtype
            and tensor.device == self.device
            and tensor.shape == self.shape
            and (tensor.stride() == self.stride or (self.is_contiguous and tensor.is_contiguous()))
            and is_within_storage(tensor)
        )

    def span(self) -> int:
        """Return how many bytes lie between the first and the last number, with these."""
        return _span(self.shape, self.stride) * self.dtype.itemsize


def strided_like(tensor: Tensor, dtype: torch.dtype | None = None) -> StridedLike:
    """Return what a tensor is like, with another dtype if one is given."""
    about = tensor.device, tensor.shape, tensor.stride(), tensor.is_contiguous()
    return StridedLike(dtype or tensor.dtype, *about)


def is_within_storage(tensor: Tensor) -> bool:
    """Tell whether the storage of a tensor still has room for all of its numbers."""
    begin = tensor.storage_offset() * tensor.element_size()
    return begin + span(tensor) <= tensor.untyped_storage().nbytes()


def ranges(tensors: Iterable[Tensor]) -> tuple[Bounds, Bounds]:
    """Return where the memory of tensors begins and ends, in the order of the beginnings."""
    pairs = [(tensor.data_ptr(), span(tensor)) for tensor in tensors]
    known = np.array([pair for pair in pairs if pair[1]], dtype=np.int64).reshape(-1, 2)
    known = known[np.argsort(known[:, 0], kind="stable")]
    return known[:, 0].copy(), known.sum(axis=1)


def overlaps(tensor: Tensor, starts: Bounds, ends: Bounds) -> bool:
    """Tell whether a tensor shares memory with some whose bounds are known, and do not overlap."""
    size = span(tensor) if has_memory(tensor) else 0
    if not size or not len(starts):
        return False
    begin = tensor.data_ptr()
    last = int(np.searchsorted(starts, begin + size)) - 1
    return last >= 0 and bool(ends[last] > begin)


def unshared(grads: Sequence[Tensor], own: Iterable[Tensor]) -> list[Tensor]:
    """Return gradients, as copies where one shares memory with what a step writes to, or has none.

    Args:
        grads: The gradients.
        own: The parameters and the tensors of their states.
    """
    bounds = _bounds(own)
    return [_copied(g) if _is_nowhere(g) or overlaps(g, *bounds) else g for g in grads]


def share_memory(tensors: Iterable[Tensor], others: Iterable[Tensor]) -> bool:
    """Tell whether some of the tensors share memory with some of the others."""
    bounds = _bounds(others)
    return any(overlaps(tensor, *bounds) for tensor in tensors)


def _bounds(tensors: Iterable[Tensor]) -> tuple[Bounds, Bounds]:
    """Return bounds for `overlaps`, of tensors that may overlap each other."""
    starts, ends = ranges(tensor for tensor in tensors if has_memory(tensor))
    return starts, np.maximum.accumulate(ends) if len(ends) else ends


def _is_nowhere(tensor: Tensor) -> bool:
    """Tell whether a tensor of torch's own kind has no memory, as zeros that are nowhere."""
    return type(tensor) is Tensor and tensor.device.type != "meta" and not has_memory(tensor)


def _copied(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device).copy_(tensor)
