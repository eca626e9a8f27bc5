"""Walking over parameters to their gradients without Python, where torch lets itself be read.

`p.grad` and what has to be known of it cost Python about half a microsecond a parameter, which for
thousands of small ones is more than the step. torch's libraries export what answers the same for
compiled code: the functions that ahead-of-time compiled models call, and `TensorImpl::grad`. What
is assumed about the objects of Python is looked up in real ones first; if anything is not as
expected, there is no walker, and Python goes on.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from schuss.engines.fused import kernels

_FUNCTIONS = (
    "_ZNK3c1010TensorImpl4gradEv",
    "aoti_torch_get_data_ptr",
    "aoti_torch_get_dtype",
    "aoti_torch_get_layout",
    "aoti_torch_get_dim",
    "aoti_torch_get_strides",
)
_SOURCE = Path(__file__).with_name("walk.py")


_ITEMS = 24
"""Where a list keeps the address of its items, after its type and its length."""

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class _Torch(NamedTuple):
    """What is known of the torch that runs here.

    Attributes:
        offset: Of the tensor in its object.
        functions: Addresses of `_FUNCTIONS`.
        absent: Address of the implementation that a missing gradient has.
        strided: Code of the layout that is not sparse.
        dtypes: Codes of dtypes.
    """

    offset: int
    functions: tuple[int, ...]
    absent: int
    strided: int
    dtypes: dict[torch.dtype, int]


class Walker:
    """Walks over the same parameters in every step.

    Args:
        about: What is known of torch and Python.
        function: The compiled walk.
        params: The parameters.
        begins: Where they begin.
        forms: What has the layout that the gradients are to have.
    """

    def __init__(
        self,
        about: _Torch,
        function: int,
        params: Sequence[Tensor],
        begins: NDArray[np.int64],
        forms: Sequence[Tensor],
    ) -> None:
        self._walk = ctypes.PYFUNCTYPE(None, ctypes.c_int64)(function)
        layouts: list[int] = []
        for form in forms:
            layouts += (about.dtypes[form.dtype], form.dim(), *form.stride())
        self._found = np.zeros(len(params), dtype=np.int64)
        self._arrays = (
            np.array([id(param) for param in params], dtype=np.int64),
            begins.copy(),
            np.array(layouts, dtype=np.int64),
            self._found,
            np.zeros(1, dtype=np.int64),
        )
        known, begin, layout, found, room = (array.ctypes.data for array in self._arrays)
        functions = (*about.functions, about.absent, about.strided)
        self._job = np.array(
            [0, len(params), 0, known, about.offset, begin, layout, found, room, *functions],
            dtype=np.int64,
        )
        self._address = self._job.ctypes.data

    def walk(self, params: list[Tensor]) -> NDArray[np.int64] | None:
        """Return where the gradients begin, or None if anything but them has changed."""
        if len(params) != len(self._found):
            return None
        self._job[2] = ctypes.c_int64.from_address(id(params) + _ITEMS).value
        self._walk(self._address)
        return self._found if self._job[0] else None


def walker(
    params: Sequence[Tensor], begins: NDArray[np.int64], forms: Sequence[Tensor]
) -> Walker | None:
    """Return a walker over parameters, or None if there is none for them.

    Args:
        params: The parameters, each with a gradient.
        begins: Where they begin.
        forms: What has the layout that the gradients are to have.
    """
    about = _about_torch()
    if about is None or any(form.dtype not in about.dtypes for form in forms):
        return None
    return Walker(about, _compiled(), params, begins, forms)


@cache
def _compiled() -> int:
    _, (address,) = kernels.functions("walk", _SOURCE.read_text(encoding="utf-8"), ["walk"])
    return address


@cache
def _about_torch() -> _Torch | None:
    """Look up what a walk needs, and check all of it on real tensors; None if anything differs."""
    tensor, absent = (torch.ones(2, 3, requires_grad=True) for _ in range(2))
    tensor.grad = torch.zeros(2, 3)
    try:
        library = ctypes.CDLL(torch._C.__file__)
        functions = tuple(_address(getattr(library, name)) for name in _FUNCTIONS)
        offset = next(k for k in (16, 24, 32) if _word(id(tensor) + k) == tensor._cdata)
    except (OSError, AttributeError, StopIteration):
        return None
    grad_of = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(functions[0])
    about = _Torch(
        offset,
        functions,
        absent=_word(grad_of(absent._cdata)),
        strided=_asked(functions[3], tensor, offset),
        dtypes={d: _asked(functions[2], torch.empty(0, dtype=d), offset) for d in _DTYPES},
    )
    params = [tensor, absent]
    strides = _asked(functions[5], tensor, offset)
    expected = (
        _word(_word(id(params) + _ITEMS)) == id(tensor),
        _word(grad_of(tensor._cdata)) == tensor.grad._cdata != about.absent,
        _asked(functions[1], tensor, offset) == tensor.data_ptr(),
        _asked(functions[4], tensor, offset) == tensor.dim(),
        (_word(strides), _word(strides + 8)) == tensor.stride(),
        len(set(about.dtypes.values())) == len(_DTYPES),
    )
    return about if all(expected) else None


def _word(address: int) -> int:
    return ctypes.c_int64.from_address(address).value


def _address(function: ctypes._FuncPointer) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _asked(function: int, tensor: Tensor, offset: int) -> int:
    """Return what a function of torch writes about a tensor."""
    room = ctypes.c_int64(0)
    call = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int64, ctypes.c_int64)(function)
    call(id(tensor) + offset, ctypes.addressof(room))
    return room.value
