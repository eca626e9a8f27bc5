"""A device whose kernels Python interprets: what the text of a kernel says, without a compiler."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from schuss.engines.devices import device as devices
from schuss.engines.devices.cpu.device import OnCPU
from schuss.engines.devices.device import Device, Tensors
from schuss.engines.devices.tables import chunks, tiles
from schuss.engines.kernels.computed import addresses
from schuss.engines.kernels.kernel import kernel
from schuss.engines.program.program import COUNT, GRAD, Place, Program
from schuss.storage.halves import FUNCTIONS, keys, mixed
from schuss.storage.kinds import KIND_OF, KINDS, Kinds

_BYTES = {"int64": 8, **{name: kind.bytes for name, kind in KINDS.items()}}
_DTYPES = {name: kind.dtype for name, kind in KINDS.items()}


_IN_C: dict[str, Any] = {
    "int64": ctypes.c_int64,
    "float64": ctypes.c_double,
    "float32": ctypes.c_float,
}
"""What Python itself reads and writes, which takes a tenth of the time that tensors take."""


def _words(kind: str, base: int, index: int) -> Any:
    size = _BYTES[kind]
    return (ctypes.c_char * size).from_address(int(base) + size * int(index))


def _load(kind: str) -> Callable[..., Any]:
    number = {"int64": int, "float64": np.float64}.get(kind, np.float32)

    def load(base: int, index: int) -> Any:
        return number(read(int(base) + size * int(index)).value)

    def load_half(base: int, index: int) -> Any:
        words = bytes(_words(kind, base, index))
        return number(torch.frombuffer(bytearray(words), dtype=_DTYPES[kind]).item())

    if kind not in _IN_C:
        return load_half
    read, size = _IN_C[kind].from_address, _BYTES[kind]
    return load


def _store(kind: str) -> Callable[..., None]:
    def store(base: int, index: int, number: Any) -> None:
        write(int(base) + size * int(index)).value = float(number)

    def store_half(base: int, index: int, number: Any) -> None:
        found = torch.tensor([float(number)], dtype=torch.float64).to(_DTYPES[kind])
        _words(kind, base, index).raw = bytes(found.view(torch.uint8).tolist())

    if kind not in _IN_C:
        return store_half
    write, size = _IN_C[kind].from_address, _BYTES[kind]
    return store


def _taken(job: int, count: int) -> int:
    word = ctypes.c_int64.from_address(int(job))
    before = word.value
    word.value += count
    return before


def _joined(join: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def joined(partials: int, index: int, of_all: int, count: int) -> Any:
        load = _load("float64")
        total = load(partials, index)
        for number in range(1, count):
            total = join(total, load(partials, number * of_all + index))
        return total

    return joined


def _rounds_to(kind: str) -> Callable[..., bool]:
    dtype = _DTYPES[kind]

    def rounds_to(number: Any, half: Any) -> bool:
        pair = torch.tensor([float(number), float(half)], dtype=torch.float32).to(dtype)
        one, other = pair.view(torch.int16).tolist()
        return bool(one == other)

    return rounds_to


def _on_bits(name: str) -> Callable[..., Any]:
    def function(*numbers: Any) -> Any:
        operands = (torch.tensor([float(x)], dtype=torch.float32) for x in numbers)
        return np.float32(FUNCTIONS[name](*operands).item())

    return function


def _stochastic(number: Any, stream: Any, step: Any, element: int) -> Any:
    if not np.isfinite(number):
        return np.float32(number)
    first, second = keys(int(stream), int(step))
    bits = np.array([number], dtype=np.float32).view(np.uint32)
    raised = bits + np.uint32(mixed(int(element) + first & 0xFFFFFFFF, second) >> 16)
    return (raised & np.uint32(0xFFFF0000)).view(np.float32)[0]


def _names() -> dict[str, Any]:
    """Return what a kernel finds in its module, beside what it imports from NumPy."""
    names: dict[str, Any] = {f"load_{kind}": _load(kind) for kind in _BYTES}
    names |= {f"store_{kind}": _store(kind) for kind in _BYTES if kind != "int64"}
    names |= {f"size_of_{kind}": size for kind, size in _BYTES.items()}
    names |= {f"rounds_to_{kind}": _rounds_to(kind) for kind, each in KINDS.items() if each.is_half}
    names |= {name: _on_bits(name) for name in FUNCTIONS}
    names["stochastic"] = _stochastic
    joins = {"sum": np.add, "amax": np.maximum, "amin": np.minimum}
    names |= {f"joined_{name}": _joined(join) for name, join in joins.items()}
    names |= {"accumulated": np.add, "larger": np.maximum, "smaller": np.minimum}
    names |= {"taken": _taken, "atan2": np.arctan2, "cube_root": lambda x: np.power(x, 1 / 3)}
    functions = {name: getattr(np, name) for name in ("sqrt", "exp", "log", "tanh", "inf")}
    names["math"] = SimpleNamespace(**functions)  # which keeps float32, as a compiler does
    names["numba"] = SimpleNamespace(cfunc=lambda *kind, **options: lambda function: function)
    return names


class Interpreted(OnCPU):
    """The CPU, with an interpreter instead of a compiler, and one thread.

    Attributes:
        drawn: The arguments of all draws: a seed, a tensor, an element.
    """

    def __init__(self) -> None:
        self.drawn: list[tuple[int, int, int]] = []
        self._kept: list[object] = []

    def threads(self) -> int:
        return 1

    def compiled(self, kind: str, text: str, names: Sequence[str]) -> tuple[Path | None, list[int]]:
        ours = ("from schuss", "import numba", "import math")
        lines = ["" if line.startswith(ours) else line for line in text.splitlines()]
        module = {**_names(), "uniform": self._draw, "normal": self._draw}
        exec(compile("\n".join(lines), "<kernel>", "exec"), module)
        found = [_address(module[name], self._kept) for name in names]
        return None, found

    def _draw(self, seed: int, tensor: int, element: int) -> float:
        self.drawn.append((int(seed), int(tensor), int(element)))
        return 0.5


def _address(function: Callable[[int], None], kept: list[object]) -> int:
    def called(job: int) -> None:
        with np.errstate(all="ignore"):
            function(job)

    callback = ctypes.CFUNCTYPE(None, ctypes.c_int64)(called)
    kept.append(callback)
    return ctypes.cast(callback, ctypes.c_void_p).value or 0


@contextmanager
def in_small_pieces() -> Iterator[None]:
    """Make chunks and tiles so small that a few dozen numbers need several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", 5)
        patch.setattr(tiles, "TILE", 12)
        patch.setattr(tiles, "WIDTH", 4)
        patch.setattr(tiles, "BANDS", 2)
        yield


@contextmanager
def kernels_interpreted() -> Iterator[None]:
    """Let Python interpret kernels of the fused engine: for few numbers that takes little time."""
    device = Interpreted()
    with in_small_pieces(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(devices.LOADERS, "cpu", lambda: device)
        yield


def interpreted(
    program: Program,
    at: Mapping[Place, Sequence[Tensor | None]],
    arguments: Iterable[float],
    sizes: Sequence[tuple[int, int, int]] = (),
    device: Device | None = None,
) -> None:
    """Run a program as the kernel that is printed for it, with the numbers of tensors.

    Args:
        program: The program.
        at: For each place, but the number of elements, the tensors that are there.
        arguments: Its numbers.
        sizes: For each tensor how many matrices, rows, and columns it has.
        device: What to run it on.
    """
    params = [each for each in at[program.inputs[1]] if each is not None]
    kinds = {place.name: KIND_OF[x.dtype] for place, (x, *_) in at.items() if x is not None}
    real = KINDS[KIND_OF[params[0].dtype]].computed
    made = kernel(program, Kinds(real, tuple(kinds.items()), real), device or Interpreted())
    counts = [param.numel() for param in params]
    launch = made.device.launch(made, Tensors(params[0].device, counts, sizes))
    begins = {place.name: _begins(tensors) for place, tensors in at.items()}
    for column, place in enumerate(made.source.columns):
        launch.addresses[column] = counts if place == COUNT else begins[place.name]
    launch.prepare(begins[GRAD], None, list(arguments), None)
    run = made.device.run([launch])
    run.begin()
    run.take()
    assert run.is_done


def _begins(tensors: Sequence[Tensor | None]) -> Any:
    found = np.zeros(len(tensors), dtype=np.int64)
    for index, tensor in enumerate(tensors):
        if tensor is not None:
            (found[index],) = addresses([tensor])
    return found
