"""Functions that do with a stack of tensors at once what they do with each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from schuss.engines.program.operations import OPERATIONS

_PRODUCTS = frozenset({"matmul", "mm", "bmm"})

_ELEMENTWISE = frozenset(OPERATIONS) | {"to", "float", "double", "bfloat16", "half", "clamp", "pow"}


def on_stacks(
    function: Callable[..., Any], shapes: Sequence[tuple[int, ...]]
) -> Callable[..., Any] | None:
    """Return what a function is for stacks, or None if it is called for each tensor.

    Args:
        function: The function.
        shapes: The shapes of the tensors that it is given, constants among them.
    """
    if getattr(function, "takes_stacks", False):
        return function
    name = function.__name__.strip("_")
    if name in _REARRANGED and len(shapes) == 1:
        return _REARRANGED[name]
    dims = {len(shape) for shape in shapes}
    if name in _PRODUCTS and len(dims) == 1 and min(dims) > 1:
        return torch.matmul
    return function if name in _ELEMENTWISE and len(set(shapes)) == 1 else None


def _reshaped(stack: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    sizes = sizes or (shape,)
    return stack.reshape(len(stack), *(sizes[0] if isinstance(sizes[0], (list, tuple)) else sizes))


def _transposed(stack: Tensor, dim0: int, dim1: int) -> Tensor:
    return stack.transpose(*(dim + 1 if dim >= 0 else dim for dim in (dim0, dim1)))


def _permuted(stack: Tensor, *each: Any, dims: Any = None) -> Tensor:
    each = each or (dims,)
    order = each[0] if isinstance(each[0], (list, tuple)) else each
    return stack.permute(0, *(dim + 1 if dim >= 0 else dim for dim in order))


_REARRANGED: dict[str, Callable[..., Any]] = {
    "reshape": _reshaped,
    "transpose": _transposed,
    "permute": _permuted,
}
