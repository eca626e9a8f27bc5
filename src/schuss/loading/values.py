"""One value of a loaded state, in the form in which an optimizer keeps it."""

from __future__ import annotations

import reprlib
from contextlib import suppress
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from schuss.engines.cohorts.contents import is_like_state
from schuss.storage.numbers import as_number
from schuss.storage.ranks import is_distributed, moved

STEP = "step"
"""Under this key the count of steps is kept, by all optimizers."""


def fitted(key: str, value: Any, kept: Any, device: torch.device) -> Any:
    """Return a copy of a loaded value.

    Args:
        key: The key of the value in the state.
        value: The loaded value.
        kept: The value that the optimizer has under this key without a checkpoint.
        device: The device for a tensor, if `kept` is a tensor without memory, on the meta device.

    Raises:
        ValueError: The value is not of the kind of `kept`; the message is a predicate.
    """
    if isinstance(kept, Tensor):
        form = torch.empty_like(
            kept, device=device if kept.is_meta else kept.device, requires_grad=False
        )
        return form.fill_(_number(value, 0)) if key == STEP else _tensor(value, form)
    if isinstance(kept, (bool, int, float)):
        return _number(value, 0 if key == STEP else kept)
    if type(value) is not type(kept):
        raise ValueError(f"is {_told(value)}; it must be of type {type(kept).__name__}")
    return deepcopy(value)


def alike(one: Any, other: Any) -> bool:
    """Tell whether two values have the same shape and kind, so that one loaded value fits both."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and _kind(one.dtype) == _kind(other.dtype)
    return type(one) is type(other)


def carried(key: str, value: Any, param: Tensor) -> Any:
    """Return a copy of a value that the optimizer has no form for.

    Raises:
        ValueError: No state of `param` could have such a value; the message is a predicate.
    """
    if key == STEP:
        return _number(value, 0)
    if not isinstance(value, Tensor):
        return deepcopy(value)
    if not is_like_state(value, param):
        raise ValueError(
            f"is {_told(value)}; it must be of the parameter's shape, one number, or numbers along "
            "some of its dimensions"
        )
    # A tensor like the parameter goes where the parameter is.
    return value.detach().to(param.device if value.shape == param.shape else None, copy=True)


def _number(value: Any, kept: float) -> float:
    """Return a loaded number as an int, a float or a bool, whichever `kept` is."""
    number = as_number(value)
    if isinstance(kept, bool):
        if isinstance(number, bool):
            return number
        allowed = "True or False"
    elif isinstance(kept, int):
        # A number that is whole and begins at 0 counts something.
        allowed = "a whole number" + (" of at least 0" if kept == 0 else "")
        if number is not None and _is_whole(number) and (kept != 0 or number >= 0):
            return int(number)
    else:
        allowed = "a real number"
        with suppress(OverflowError):
            if number is not None and not isinstance(number, bool):
                return float(number)
    raise ValueError(f"is {_told(value)}; it must be {allowed}")


def _is_whole(number: float) -> bool:
    if isinstance(number, int):
        return not isinstance(number, bool)
    return number.is_integer()  # neither infinite nor NaN


def _tensor(value: Any, form: Tensor) -> Tensor:
    """Return `form` with the numbers of a tensor of its shape and kind."""
    kind = _kind(form.dtype)
    allowed = f"it must be a {kind} tensor of shape {tuple(form.shape)}"
    if not isinstance(value, Tensor):
        if form.dim() or as_number(value) is None:
            raise ValueError(f"is {_told(value)}; {allowed}")
        return form.fill_(_number(value, 0.0))
    one = value.numel() == 1 and not form.dim()  # some formats of files have no 0-d tensors
    if _kind(value.dtype) != kind or not (one or value.shape == form.shape):
        raise ValueError(f"is {_told(value)}; {allowed}")
    if value.is_sparse:  # the momentum of sparse gradients
        return value.detach().to(form.device, form.dtype, copy=True)
    try:
        value = value.detach().reshape(form.shape)
        return form.copy_(moved(value, form) if is_distributed(form) else value)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # it has a layout of its own, say, or no memory
        raise ValueError(f"is {_told(value)} that cannot be copied: {error}; {allowed}") from None


def _kind(dtype: torch.dtype) -> str:
    if dtype.is_floating_point:
        return "floating-point"
    if dtype.is_complex:
        return "complex"
    return "Boolean" if dtype is torch.bool else "whole-number"


def _told(value: Any) -> str:
    """Return a description of a value for messages: a tensor's dtype and shape, or the value."""
    if not isinstance(value, Tensor):
        return reprlib.repr(value)
    number = as_number(value)
    told = f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    return told if number is None else f"{told}, {number}"
