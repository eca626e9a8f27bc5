"""Triton's interpreter, so that kernels for a GPU run where there is none.

To be imported by `remote.interpreted` only. The interpreter is mended where it does not do what a
GPU does: it cuts bits off where a GPU rounds, it has no mathematical functions, and it believes
whatever a kernel says of an address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest
import triton.language as tl
from triton.runtime import interpreter
from triton.runtime.interpreter import TensorHandle

from schuss.engines.devices import device
from schuss.engines.devices.gpu import functions_compiled as functions
from schuss.engines.devices.gpu import launch, tiled

_convert = interpreter._convert_float


def _converted(data: Any, before: Any, after: Any, mode: Any) -> Any:
    """Round to the nearest, ties to even, as a GPU does."""
    if (before, after) == (tl.float32, tl.bfloat16):
        bits = data.view(np.uint32)
        rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
        return np.where(np.isnan(data), np.uint16(0x7FFF), rounded)
    if (before, after) == (tl.bfloat16, tl.float32):
        return data.view(np.uint16).astype(np.uint32) << 16
    return _convert(data, before, after, mode)


def _of_numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a mathematical function of Triton's, by NumPy's."""

    def call(*operands: Any) -> Any:
        tensors = [x for x in operands if isinstance(x, tl.tensor)]
        like = next((x for x in tensors if x.type.is_block()), tensors[0])
        data = [x.handle.data if isinstance(x, tl.tensor) else x for x in operands]
        found = np.asarray(function(*data), dtype=like.handle.data.dtype)
        return tl.tensor(TensorHandle(found, like.dtype), like.type)

    return call


_FUNCTIONS = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "cosine": np.cos,
    "power": np.power,
    "atan2": np.arctan2,
    "cube_root_of_any": np.cbrt,
    "remainder_of_signs": np.fmod,
}

_TILED = {"NUMBERS": 64, "LINES": 4, "BLOCKS": 2, "BANDS": 3, "SMALLER": 8, "PARTS": 3, "JOINED": 2}
"""Sizes so small that matrices of some rows and columns are many tiles, of many blocks."""

_reduce = interpreter.ReduceOps.apply_impl


def _reduced(self: Any, of: Any) -> Any:
    """Reduce a block to extremes at once, where the interpreter goes number by number."""
    if self.combine_fn is functions.larger:
        return self.min_max(of[0], np.max)
    if self.combine_fn is functions.smaller:
        return self.min_max(of[0], np.min)
    return _reduce(self, of)


_patch = interpreter._patch_lang_tensor


def _patched(tensor: Any, *scope: Any) -> None:
    """Make numbers of arrays of one number, which NumPy does no more if they have dimensions.

    Before Triton 3.6 there is no scope, in which changes are noted to be undone.
    """
    _patch(tensor, *scope)
    change = scope[0].set_attr if scope else setattr
    change(tensor, "__index__", lambda self: int(self.handle.data.item()))


def _checked(handle: TensorHandle, name: str, values: Sequence[int]) -> None:
    """Take what a kernel says of a number, and see whether it holds: a GPU would fail."""
    if name == "tt.divisibility" and (handle.data % np.uint64(values[0])).any():
        raise ValueError(f"the address {handle.data} is no multiple of {values[0]}")
    handle.attr[name] = values


@cache
def _prepared(function: Any) -> None:
    interpreter._patch_lang(function)


def _called(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a function from a kernel.

    Triton's own call prepares its language for the interpreter anew each time, which takes longer
    than most functions. The launch has prepared it for ours; for Triton's once is enough.
    """
    if function.fn.__module__.startswith("triton."):
        _prepared(function.fn)
    return function.rewrite()(*args, **kwargs)


@contextmanager
def on_interpreter(block: int = 64) -> Iterator[None]:
    """Run what steps parameters on the CPU as if these were on a GPU.

    Args:
        block: How many numbers a program computes at once.
    """
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(interpreter, "_convert_float", _converted)
        patch.setattr(interpreter, "_patch_lang_tensor", _patched)
        patch.setattr(TensorHandle, "set_attr", _checked)
        patch.setattr(interpreter.InterpretedFunction, "__call__", _called)
        patch.setattr(interpreter.ReduceOps, "apply_impl", _reduced)
        for name, function in _FUNCTIONS.items():
            patch.setattr(functions, name, _of_numpy(function))
        patch.setattr(launch, "BLOCK", block)
        patch.setattr(launch, "JOIN", 2)
        for name, number in _TILED.items():
            patch.setattr(tiled, name, number)
        patch.setitem(device.LOADERS, "cpu", device.LOADERS["cuda"])
        yield
