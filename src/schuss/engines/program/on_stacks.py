"""Functions that do with a stack of tensors at once what they do with each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from schuss.engines.program.operations import OPERATIONS

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
    if name == "reshape" and len(shapes) == 1:
        return _reshaped
    return function if name in _ELEMENTWISE and len(set(shapes)) == 1 else None


def _reshaped(stack: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    sizes = sizes or (shape,)
    return stack.reshape(len(stack), *(sizes[0] if isinstance(sizes[0], (list, tuple)) else sizes))
