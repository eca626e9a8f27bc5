"""Memory between pages that must not be touched.

A tensor ends where such a page begins, or begins where one ends, and whoever touches the page ends
the process. So does the memory of a tensor that is gone, which is never given again. The rest of
its pages holds a pattern that is looked at later.
"""

from __future__ import annotations

import ctypes
import mmap
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROOM = 1 << 30
"""Bytes of addresses; only those that are used take memory."""

PATTERN = b"\xa5"
_NO_ACCESS, _ACCESS = 0, mmap.PROT_READ | mmap.PROT_WRITE


class _Block(NamedTuple):
    """Whole pages that hold one tensor, given by offsets in bytes."""

    begin: int
    own_begin: int
    own_end: int
    end: int


class Memory:
    """Gives memory to tensors and arrays, each piece once.

    Args:
        at_end: They end where a page begins that must not be touched. If not, they begin after one.
    """

    def __init__(self, *, at_end: bool) -> None:
        self._at_end = at_end
        self._region = mmap.mmap(-1, ROOM)
        self._begin = ctypes.addressof(ctypes.c_char.from_buffer(self._region))
        self._used = mmap.PAGESIZE
        self._blocks: dict[int, _Block] = {}
        self._protect(0, ROOM, _NO_ACCESS)

    def holding(self, tensor: Tensor) -> Tensor:
        """Return a copy of a tensor here, with its strides, as an ordinary tensor."""
        tensor = tensor.detach()
        if not tensor.numel():
            return tensor.clone()
        extent = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
        numbers = self._given(extent * tensor.element_size()).view(tensor.dtype)
        return numbers.as_strided(tensor.shape, tensor.stride()).copy_(tensor)

    def holding_array(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a copy of an array here."""
        if not array.size or array.dtype.hasobject:
            return array
        given = self._given(array.nbytes).numpy()
        copy = given.view(array.dtype).reshape(array.shape)
        copy[...] = array
        return copy

    def take_back(self, tensor: Tensor) -> None:
        """Let nobody touch the memory of a tensor from here on, if it is of this."""
        self._end(tensor.untyped_storage().data_ptr())

    def check(self) -> None:
        """Raise an AssertionError if somebody wrote beside a tensor."""
        for block in self._blocks.values():
            self._check(block)

    def _given(self, length: int) -> Tensor:
        """Return bytes."""
        begin = self._used
        end = begin - (-length // mmap.PAGESIZE) * mmap.PAGESIZE
        self._used = end + mmap.PAGESIZE
        self._protect(begin, end, _ACCESS)
        self._region[begin:end] = PATTERN * (end - begin)
        at = end - length if self._at_end else begin
        view = memoryview(self._region)[at : at + length]
        given = torch.frombuffer(view, dtype=torch.uint8)
        self._blocks[given.data_ptr()] = _Block(begin, at, at + length, end)
        # The storage of the tensor, and of whatever shares it, keeps the view alive.
        weakref.finalize(view, self._end, given.data_ptr()).atexit = False
        return given

    def _end(self, address: int) -> None:
        block = self._blocks.pop(address, None)
        if block is not None:
            self._check(block)
            self._region.madvise(mmap.MADV_DONTNEED, block.begin, block.end - block.begin)
            self._protect(block.begin, block.end, _NO_ACCESS)

    def _check(self, block: _Block) -> None:
        for begin, end in ((block.begin, block.own_begin), (block.own_end, block.end)):
            if self._region[begin:end] != PATTERN * (end - begin):
                raise AssertionError(
                    f"bytes beside {block.own_end - block.own_begin} others were overwritten: "
                    f"{self._region[begin:end].hex()}"
                )

    def _protect(self, begin: int, end: int, access: int) -> None:
        if _libc.mprotect(self._begin + begin, end - begin, access):
            raise OSError(ctypes.get_errno(), "mprotect")


_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


_TENSORS = (
    "empty",
    "empty_like",
    "zeros",
    "zeros_like",
    "full",
    "full_like",
    "ones_like",
    "tensor",
)
_ARRAYS = ("zeros", "empty", "full", "array", "ascontiguousarray", "stack", "arange", "cumsum")


class _Stand:
    """Stands in for a module, and puts what some of its functions make into guarded memory."""

    def __init__(self, module: Any, memory: Memory) -> None:
        self._module, self._memory = module, memory

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if name not in (_TENSORS if self._module is torch else _ARRAYS):
            return found

        def guarded(*arguments: Any, **keywords: Any) -> Any:
            made = found(*arguments, **keywords)
            if type(made) is Tensor and made.device.type == "cpu":
                return self._memory.holding(made).requires_grad_(made.requires_grad)
            return self._memory.holding_array(made) if isinstance(made, np.ndarray) else made

        return guarded


@contextmanager
def engines_in(memory: Memory) -> Iterator[None]:
    """Put the tensors and arrays that our modules make into guarded memory."""
    import sys

    ours = [module for name, module in sys.modules.items() if name.startswith("schuss")]
    replaced = []
    for module in ours:
        for name, real in (("torch", torch), ("np", np)):
            if vars(module).get(name) is real:
                setattr(module, name, _Stand(real, memory))
                replaced.append((module, name, real))
    try:
        yield
    finally:
        for module, name, real in replaced:
            setattr(module, name, real)
