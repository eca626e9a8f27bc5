"""Counting the bytes that operations of torch allocate, without memory: on the meta device."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from schuss.storage.codecs import Encoded, parts_of


class Allocations(TorchDispatchMode):
    """Counts the bytes of new tensors that are alive at a time, while it is entered.

    A tensor counts from the operation that makes it until nothing refers to it any more; views of
    one memory count once, and memory that was there before does not.

    Attributes:
        peak: The most bytes at once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._users: Counter[int] = Counter()
        self._seen: dict[int, weakref.ref[Tensor]] = {}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Carry out an operation, and count the memory of what it returns."""
        tensors = [x for x in tree_leaves((args, kwargs or {})) if isinstance(x, Tensor)]
        given = {_memory(part) for tensor in tensors for part in _dense_parts(tensor)}
        if any(isinstance(tensor, Encoded) for tensor in tensors):
            with self:  # which counts what it takes to decode and to encode
                result = Encoded.__torch_dispatch__(func, types, args, kwargs)
        else:
            result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            for part in _dense_parts(tensor) if isinstance(tensor, Tensor) else ():
                self._note(part, given)
        return result

    def _note(self, tensor: Tensor, given: set[int]) -> None:
        memory, size = _memory(tensor), tensor.untyped_storage().nbytes()
        if memory not in self._users:
            if memory in given:  # which was there before
                return
            self._now += size
            self.peak = max(self.peak, self._now)
        known = self._seen.get(id(tensor))
        if known is None or known() is not tensor:
            self._users[memory] += 1
            self._seen[id(tensor)] = weakref.ref(tensor)
            weakref.finalize(tensor, self._forget, memory, size)

    def _forget(self, memory: int, size: int) -> None:
        self._users[memory] -= 1
        if not self._users[memory]:
            del self._users[memory]
            self._now -= size


def _dense_parts(tensor: Tensor) -> list[Tensor]:
    """Return the tensors with memory of their own that a tensor consists of.

    A sparse one is made of tensors that have been counted, and has none itself.
    """
    return [part for part in parts_of(tensor) if part.layout is torch.strided]


def _memory(tensor: Tensor) -> int:
    """Return what is the same for all views of one memory."""
    return int(tensor.untyped_storage()._cdata)


def peak_of(call: Callable[[], object]) -> int:
    """Return the most bytes of new tensors that are alive at once in a call."""
    allocations = Allocations()
    with torch.no_grad(), torch.random.fork_rng(devices=[]), allocations:
        call()
    return allocations.peak
