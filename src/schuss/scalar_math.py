"""Functions of a number that may also be a tensor of one number.

The step count and the learning rate are numbers of Python, and 0-d tensors while `torch.compile`
traces a step, or where they are kept on a device. A rule that branches on one of them says so with
these functions, and does the same with either.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def where(condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """Return the value of one of two functions.

    Args:
        condition: A truth value. Of a tensor, both functions are called, because the value is not
            known yet; so neither may fail where the other one is meant.
        then: Called if it is true.
        otherwise: Called if it is false.

    Example:
        >>> where(2 > 1, lambda: 1 / 2, lambda: 1 / 0)
        0.5
    """
    if isinstance(condition, Tensor):
        return torch.where(condition, then(), otherwise())
    return then() if condition else otherwise()


def larger(x: Any, bound: float) -> Any:
    """Return a number, or a bound where the number is below it."""
    return x.clamp(min=bound) if isinstance(x, Tensor) else max(x, bound)


def smaller(x: Any, bound: float) -> Any:
    """Return a number, or a bound where the number is above it."""
    return x.clamp(max=bound) if isinstance(x, Tensor) else min(x, bound)


def cosine(x: Any) -> Any:
    """Return the cosine of a number in radians."""
    return math.cos(x) if type(x) in (int, float) else x.cos()
