"""Looking at the memory of all tensors of a group without Python, where torch lets itself be read.

See `torch_layout` for how the objects of torch are read, and `fast_gradients_compiled` for the
compiled look.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from schuss.engines.devices.cpu import threads
from schuss.engines.devices.cpu.compiled import functions
from schuss.engines.devices.cpu.torch_layout import TorchLayout, identity, kinds_of, torch_layout
from schuss.engines.devices.cpu.words import (
    DIMENSIONS,
    LOOK_THREADS,
    SHARE_COUNT,
    SHARE_FIRST,
    SHARE_GRADS,
    SHARE_LAST,
    SHARE_OWN,
    SHARE_WORDS,
)
from schuss.engines.memory import Bounds, StridedLike

_SOURCE = Path(__file__).with_name("fast_gradients_compiled.py")

ALONE = 4096
"""Tensors of the optimizer that one thread looks at alone. A second thread would save 10 µs with
half of them if it were awake, and cost milliseconds where other processes have taken its core.
"""

SHARE = 256
"""How many tensors of the optimizer a thread looks at, and the gradients that go with them, before
it comes for more: some microseconds of work.
"""


class FastGradients:
    """Looks at the same tensors in every step.

    Args:
        layout: How torch keeps its tensors.
        listed: The parameters of the group.
        indices: For each of these its position in the batch, or -1.
        own: The tensors that belong to the optimizer: parameters, and those of their states, but
            for tensors that cannot have changed.
        likes: For each parameter of the batch, what its gradients have to be like.
        bounds: Where the memory of all tensors of the optimizer begins and ends.

    Attributes:
        missing: How many parameters of the batch had no gradient in the last look.
    """

    def __init__(
        self,
        layout: TorchLayout,
        listed: Sequence[Tensor],
        indices: Sequence[int],
        own: Sequence[Tensor],
        likes: Sequence[StridedLike],
        bounds: tuple[Bounds, Bounds],
    ) -> None:
        self.missing = 0
        self._kept = (*listed, *own)  # so that their addresses remain theirs
        self._count = len(listed)
        self._found = np.zeros(len(likes), dtype=np.int64)
        shares = _Shares(layout, indices, own, likes)
        starts, ends = bounds
        self._arrays = [
            _words([id(param) for param in listed]),
            _words(indices),
            shares.words,
            self._found,
            np.zeros(len(likes), dtype=np.int64),
            np.zeros(len(likes), dtype=np.int64),
            starts,
            ends,
            np.zeros(1, dtype=np.int64),
        ]
        self._shares = shares
        known, at, share, *rest = (a.ctypes.data for a in self._arrays)
        found, held, checked, begin, end, room = rest
        entry = threads.parallel_entry() or 0
        self._is_alone = len(own) <= ALONE or not entry
        job = [0, known, at, len(likes), shares.count, share, 0, 0]
        job += [compiled()["check"], 1, entry, found, held, checked, len(starts), begin, end, room]
        self._job = _words([*job, *_torch_words(layout)])
        self._address = self._job.ctypes.data
        self._look, self._release = _functions()
        self._holds = False

    def look(self, params: list[Tensor]) -> NDArray[np.int64] | None:
        """Return where the gradients begin, 0 for none; None if anything but them has changed.

        The gradients are kept alive until `release`.
        """
        if self._holds:
            self.release()  # those of a step that was cut off
        if len(params) != self._count:
            return None
        self._holds = True
        if not self._is_alone:
            self._job[LOOK_THREADS] = threads.available()
        self.missing = self._look(self._address, id(params))
        return None if self.missing < 0 else self._found

    def release(self) -> None:
        """Let go of the gradients."""
        self._release(self._address)
        self._holds = False

    def __del__(self) -> None:
        """Let go of what a step that was cut off still holds."""
        if self.__dict__.get("_holds"):
            self.release()


def fast_gradients(
    listed: Sequence[Tensor],
    indices: Sequence[int],
    own: Sequence[Tensor],
    likes: Sequence[StridedLike],
    bounds: tuple[Bounds, Bounds],
) -> FastGradients | None:
    """Return a fast look at tensors, or None if torch does not let these be read."""
    layout = torch_layout()
    dims = [tensor.dim() for tensor in (*listed, *own)] + [len(like.shape) for like in likes]
    if layout is None or max(dims, default=0) > DIMENSIONS:
        return None
    return FastGradients(layout, listed, indices, own, likes, bounds)


def is_compiled() -> bool:
    """Tell whether a fast look could be taken at once."""
    return bool(compiled.cache_info().currsize)


@cache
def compiled() -> dict[str, int]:
    """Return the addresses of the compiled functions, by name."""
    names = ["look", "release", "check"]
    _, addresses = functions("gradients", _SOURCE.read_text(encoding="utf-8"), names)
    return dict(zip(names, addresses, strict=True))


@cache
def _functions() -> tuple[Any, Any]:
    """Return `look` and `release`, which are called with the lock of Python held."""
    look = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    release = ctypes.PYFUNCTYPE(None, ctypes.c_int64)
    return look(compiled()["look"]), release(compiled()["release"])


def _like(layout: TorchLayout, like: StridedLike) -> list[int]:
    """Return what a gradient has to be like, in the order of the `GRAD` words."""
    kinds = kinds_of(layout, torch.empty(0, dtype=like.dtype, device=like.device))
    size = like.dtype.itemsize
    shape = [len(like.shape), *like.shape, *like.stride]
    return [*kinds, size, like.span(), *shape]


def _torch_words(layout: TorchLayout) -> list[int]:
    """Return a layout in the order of the `TORCH` words."""
    return [number for each in layout for number in (each if isinstance(each, tuple) else [each])]


class _Shares:
    """The tensors that threads look at, in shares of about the same size.

    Attributes:
        count: How many shares there are.
        words: The shares, in the order of the `SHARE` words.
    """

    def __init__(
        self,
        layout: TorchLayout,
        indices: Sequence[int],
        own: Sequence[Tensor],
        likes: Sequence[StridedLike],
    ) -> None:
        self.count = max(1, -(-len(own) // SHARE))
        tensors, of_tensors = _joined([identity(layout, tensor) for tensor in own])
        grads, of_grads = _joined([_like(layout, like) for like in likes])
        self._kept = tensors, grads
        self.words = np.zeros((self.count, SHARE_WORDS), dtype=np.int64)
        batched = np.cumsum([0, *(index >= 0 for index in indices)])
        for number, share in enumerate(self.words):
            own_first, own_last = self._part(number, len(own))
            first, last = self._part(number, len(indices))
            share[SHARE_OWN], share[SHARE_COUNT] = of_tensors[own_first], own_last - own_first
            share[SHARE_FIRST], share[SHARE_LAST] = first, last
            share[SHARE_GRADS] = of_grads[batched[first]]

    def _part(self, number: int, total: int) -> tuple[int, int]:
        return number * total // self.count, (number + 1) * total // self.count


def _joined(parts: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], list[int]]:
    """Return numbers one after the other, and the addresses of the parts that they come in."""
    words = _words([number for part in parts for number in part])
    ends = np.cumsum([0, *map(len, parts)])
    return words, (words.ctypes.data + 8 * ends).tolist()


def _words(numbers: Sequence[int]) -> NDArray[np.int64]:
    return np.array(numbers, dtype=np.int64)
