"""Functions of one tensor, called for a stack of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch


def vmapped(function: Callable[..., Any], *stacks: Any) -> Any:
    """Call a function for all tensors of stacks at once, through `torch.vmap`.

    torch calls a function that has no rule for stacks for one tensor after the other, and warns of
    that. It is as fast as the loop, which would be the alternative, so nobody is warned.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*performance drop")
        return torch.vmap(function)(*stacks)
