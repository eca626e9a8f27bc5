"""Modes of torch that change what its functions do: a step is taken outside of them.

A training loop may call `step` amid modes that it has switched on for the model. Lightning's manual
optimization calls it within `torch.autocast`, where a product of matrices is rounded to half
precision. State that is made within `torch.inference_mode` can be changed nowhere else, and within
`with torch.device(...)` a tensor is made wherever that says. None of these is meant for the rule of
an optimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import TypeVar, cast

import torch

_Function = TypeVar("_Function", bound=Callable[..., object])


def are_on() -> bool:
    """Tell whether a mode may be on, in less time than it takes to leave one."""
    return (
        torch._C._is_any_autocast_enabled()
        or torch.is_inference_mode_enabled()
        or torch._C._len_torch_function_stack() > 0
    )


@contextmanager
def left() -> Iterator[None]:
    """Compute as without the modes, until the block ends. Gradients are off within."""
    amid_inference = torch.is_inference_mode_enabled()
    amid_functions = torch._C._len_torch_function_stack() > 0
    with (
        torch.inference_mode(mode=False) if amid_inference else nullcontext(),
        torch.device("cpu") if amid_functions else nullcontext(),  # of tensors that name no device
        torch._C._DisableAutocast(),
        torch.no_grad(),
    ):
        yield


def outside_of_modes(function: _Function) -> _Function:
    """Return a function that is called outside of all modes, with gradients off then."""

    @wraps(function)
    def called(*args: object, **kwargs: object) -> object:
        if not are_on():
            return function(*args, **kwargs)
        with left():
            return function(*args, **kwargs)

    return cast(_Function, called)
