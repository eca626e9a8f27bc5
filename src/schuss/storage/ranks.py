"""Tensors that lie on several ranks: DTensors, as `fully_shard` makes of parameters.

A rank is one of several processes that train together. A rule computes with DTensors as with any
tensor, and torch exchanges the numbers that an operation needs. torch leaves two things to us. A
number of a DTensor may be this rank's part of a sum, and is read as if it were the sum. And where a
rank has no row of a parameter, reductions and operations in place fail, so such parameters, which
are small, are stepped as a whole on every rank.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import Any, cast

import torch
from torch import Tensor


def is_distributed(tensor: Any) -> bool:
    """Tell whether a tensor is a DTensor, without importing `torch.distributed`."""
    return type(tensor) is not Tensor and hasattr(tensor, "full_tensor")


def over_ranks(values: Sequence[Tensor]) -> list[Tensor]:
    """Return plain numbers that have the same sum as `values` over all ranks, the same on each.

    DTensors with the same placements are added up before the ranks exchange them. Every rank is
    taken to know the plain tensors.
    """
    plain: list[Tensor] = []
    alike: defaultdict[Any, list[Any]] = defaultdict(list)
    for value in values:
        if is_distributed(value):
            alike[_layout(value)].append(value)
        else:
            plain.append(value)
    totals: list[Any] = [torch.stack(parts).sum() for parts in alike.values()]
    return plain + [total.full_tensor() for total in totals]


def is_thin(tensor: Tensor) -> bool:
    """Tell whether a tensor is a DTensor of which some rank has nothing, or one has all."""
    if not is_distributed(tensor):
        return False
    mesh, placements = _layout(tensor)
    for ranks, placement in zip(mesh.shape, placements, strict=True):
        if placement.is_shard():
            size = tensor.shape[placement.dim]
            each = -(-size // ranks)  # rows of the first ranks, the last ones have less
            if size <= 1 or each * (ranks - 1) >= size:
                return True
    return False


def gathered(tensor: Tensor) -> Tensor:
    """Return a DTensor with the same numbers, all of them on every rank."""
    from torch.distributed.tensor import DTensor, Replicate

    mesh, _ = _layout(tensor)
    whole: DTensor = cast(DTensor, tensor).redistribute(placements=[Replicate()] * mesh.ndim)
    return whole


def scattered(tensor: Tensor, like: Tensor) -> Tensor:
    """Return a DTensor with the same numbers, divided among the ranks as another one is."""
    from torch.distributed.tensor import DTensor

    parts: DTensor = cast(DTensor, tensor).redistribute(placements=_layout(like)[1])
    return parts


def divided_as(tensor: Tensor, like: Tensor) -> Tensor:
    """Return a plain tensor, which is the same on all ranks, as a DTensor divided like another."""
    from torch.distributed.tensor import DTensor, Replicate

    mesh, _ = _layout(like)
    whole = DTensor.from_local(tensor, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return scattered(whole, like)


def is_in_rows(tensor: Tensor) -> bool:
    """Tell whether each rank has some rows of a DTensor, all of each, or all rows."""
    _, placements = _layout(tensor)
    return all(each.is_replicate() or (each.is_shard() and each.dim == 0) for each in placements)


def are_laid_out_alike(tensor: Tensor, other: Tensor) -> bool:
    """Tell whether two tensors are both plain, or both divided among the same ranks alike."""
    if not is_distributed(tensor) or not is_distributed(other):
        return not is_distributed(tensor) and not is_distributed(other)
    return bool(_layout(tensor) == _layout(other))


def own_part(tensor: Tensor) -> Tensor:
    """Return the part of a DTensor that this rank has, in the same memory; a plain one itself."""
    return cast(Any, tensor).to_local() if is_distributed(tensor) else tensor


def joined(part: Tensor, shape: torch.Size, like: Tensor) -> Tensor:
    """Return the tensor of which this rank has a part, divided among the ranks as another one is.

    Args:
        part: The part, which is not copied.
        shape: The shape of the whole.
        like: The other one. If it is plain, the part is the whole.
    """
    if not is_distributed(like):
        return part
    from torch.distributed.tensor import DTensor

    mesh, placements = _layout(like)
    stride = torch.empty(shape, dtype=torch.uint8, device="meta").stride()
    return DTensor.from_local(part, mesh, placements, run_check=False, shape=shape, stride=stride)


def whole(tensor: Tensor) -> Tensor:
    """Return a plain tensor with the numbers of all ranks, which it takes from them."""
    return cast(Any, tensor).full_tensor() if is_distributed(tensor) else tensor


def moved(tensor: Tensor, like: Tensor) -> Tensor:
    """Return a tensor with the same numbers, divided among the ranks as a DTensor is.

    Every rank is taken to know a plain tensor.
    """
    if are_laid_out_alike(tensor, like):
        return tensor
    if is_distributed(tensor) and _layout(tensor)[0] == _layout(like)[0]:
        return scattered(tensor, like)
    return divided_as(whole(tensor), like)


def check_whole(summing: Sequence[str], params: Iterable[Tensor]) -> None:
    """Refuse parameters that are one rank's part, if somebody sums over all of them.

    The constructor of an optimizer has to call this function, because ZeRO leaves no trace later.

    Args:
        summing: The names of those that make sums.
        params: All parameters.

    Raises:
        RuntimeError: There are sums, and other ranks have other parts.
    """
    by = _divided_by(params) if summing else None
    if by is not None:
        raise RuntimeError(
            f"{summing[0]} needs sums over all parameters, "
            f"but {by} gives every rank a part of them; shard them by "
            "torch.distributed.fsdp.fully_shard, of which the sums are known, or clip the "
            "gradients before the step"
        )


def _divided_by(params: Iterable[Tensor]) -> str | None:
    """Return the name of the wrapper that gives each rank a part of the parameters, or None.

    Only wrappers count whose parts are plain tensors.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        ranks = torch.distributed.get_world_size()
        if ranks > 1 and any(getattr(param, "_fsdp_flattened", False) for param in params):
            return "FullyShardedDataParallel"
    zero = sys.modules.get("torch.distributed.optim.zero_redundancy_optimizer")
    frame: FrameType | None = sys._getframe() if zero else None
    while zero and frame is not None:
        if frame.f_code is zero.ZeroRedundancyOptimizer._init_local_optimizer.__code__:
            return "ZeroRedundancyOptimizer" if frame.f_locals["self"].world_size > 1 else None
        frame = frame.f_back
    return None


def _layout(tensor: Any) -> tuple[Any, Any]:
    return tensor.device_mesh, tensor.placements
