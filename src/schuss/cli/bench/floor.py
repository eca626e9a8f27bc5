"""The floor: a kernel that moves the bytes of a step, and does next to nothing with them.

It reads the parameter, the gradient and the state, and writes the parameter and the state, at
addresses that were collected before; nothing in Python walks the tensors. A step can hardly be
faster. A step that takes longer spends the rest on arithmetic, or on overhead.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numba
import numpy as np
import torch
from numba import carray, types  # type: ignore[attr-defined]  # exported by its __init__
from numba.extending import intrinsic
from numpy.typing import NDArray
from torch import Tensor

from schuss.engines.devices.cpu import threads as shared

_ROW: Final = 1 << 14  # numbers: 64 KiB of each tensor, so that a row fits into a core's cache
_SHARES: Final = 8  # how often each thread comes for more rows
_PER_LOOP: Final = 2  # states: of more arrays LLVM does not prove that they do not overlap
_TRIALS: Final = 5
_TRIAL_SECONDS: Final = 0.01

_NEXT, _ROWS, _GRAIN, _TABLE = range(4)  # the numbers of a job


class Floor:
    """The floor of a step, on one thread or on all of them, whatever is faster.

    Args:
        params: The parameters, with their gradients.
        states: How many numbers the optimizer remembers for each number of a parameter.
        threads: How many threads there are.

    Attributes:
        tensors: The tensors that it moves: each parameter, its gradient, and its state.
        threads: How many threads it runs on.
    """

    def __init__(self, params: Sequence[Tensor], states: int, threads: int) -> None:
        self.tensors = [
            (param.detach(), _gradient(param), *(torch.zeros_like(param) for _ in range(states)))
            for param in params
        ]
        self._table = _table(self.tensors)
        self._job = np.array([0, len(self._table), 0, self._table.ctypes.data], dtype=np.int64)
        self._address = self._job.ctypes.data
        self._compiled = _kernel(states)  # its machine code lives as long as it does
        self._kernel = self._compiled.address
        self.threads = min((1, threads), key=self._seconds)
        self._use(self.threads)

    def step(self) -> None:
        """Read and write all bytes that one step of the optimizer would."""
        self._job[_NEXT] = 0
        shared.run(self._kernel, self._address, self.threads)

    def _use(self, threads: int) -> None:
        rows = len(self._table)
        self.threads = threads
        self._job[_GRAIN] = rows if threads == 1 else -(-rows // (threads * _SHARES))

    def _seconds(self, threads: int) -> float:
        """Return the shortest time of a step on so many threads, in seconds."""
        self._use(threads)
        self.step()
        best = float("inf")
        for _ in range(_TRIALS):
            start, steps = time.perf_counter(), 0
            while (elapsed := time.perf_counter() - start) < _TRIAL_SECONDS or not steps:
                self.step()
                steps += 1
            best = min(best, elapsed / steps)
        return best


def _gradient(param: Tensor) -> Tensor:
    if param.grad is None:
        raise ValueError("the floor needs a gradient of every parameter")
    return param.grad


def _table(tensors: Sequence[tuple[Tensor, ...]]) -> NDArray[np.int64]:
    """Return rows of how many numbers there are, and where they begin in each tensor."""
    rows = []
    for moved in tensors:
        addresses = [tensor.data_ptr() for tensor in moved]
        size = moved[0].element_size()
        for first in range(0, moved[0].numel(), _ROW):
            count = min(_ROW, moved[0].numel() - first)
            rows.append([count, *(address + first * size for address in addresses)])
    return np.array(rows, dtype=np.int64)


_KERNEL: Final = """
def floor(job):
    control = carray(int64_at(job), 4)
    rows, grain = control[1], control[2]
    table = carray(int64_at(control[3]), (rows, {columns}))
    begin = taken(job, grain)
    while begin < rows:
        for row in range(begin, min(begin + grain, rows)):
            count = table[row, 0]
            p = carray(float32_at(table[row, 1]), count)
            g = carray(float32_at(table[row, 2]), count)
{loops}
        begin = taken(job, grain)
"""


@cache
def _kernel(states: int) -> Any:
    """Return the compiled kernel: it takes the address of a job, and rows of it until none is left.

    A row goes through one loop if there are at most two states, and the rest of them through
    loops that find the gradient in the cache.
    """
    text = _KERNEL.format(columns=3 + states, loops="\n".join(_loops(states)))
    names = {
        "carray": carray,
        "int64_at": _pointer_to(types.int64),
        "float32_at": _pointer_to(types.float32),
        "taken": intrinsic(_taken),
    }
    exec(compile(text, "<floor>", "exec"), names)
    return numba.cfunc("void(int64)")(names["floor"])


def _loops(states: int) -> list[str]:
    arrays = [f"s{state}" for state in range(states)]
    lines = [
        f"{name} = carray(float32_at(table[row, {column}]), count)"
        for column, name in enumerate(arrays, start=3)
    ]
    parts = [arrays[at : at + _PER_LOOP] for at in range(0, states, _PER_LOOP)] or [[]]
    for part in (["p", *parts[0]], *parts[1:]):
        lines.append("for i in range(count):")
        lines.extend(f"    {name}[i] += g[i]" for name in part)
    return [" " * 12 + line for line in lines]


def _pointer_to(element: Any) -> Any:
    def pointer(typing_context: Any, address: Any) -> Any:
        def lowered(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(element)(address), lowered  # type: ignore[no-untyped-call]

    return intrinsic(pointer)


def _taken(typing_context: Any, address: Any, count: Any) -> Any:
    """Add to the number at an address, as if no other thread did so, and return what it was."""

    def lowered(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = types.CPointer(types.int64)  # type: ignore[no-untyped-call]
        number = builder.inttoptr(arguments[0], context.get_value_type(kind))
        return builder.atomic_rmw("add", number, arguments[1], "monotonic")

    return types.int64(types.int64, types.int64), lowered
