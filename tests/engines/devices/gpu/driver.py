"""A driver of Triton for a GPU that is not there: real functions are compiled, and not launched.

`python -m tests.engines.devices.gpu.driver` tells how long Python takes for a step.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import triton
from torch import nn
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

import schuss
from schuss.engines.devices import device

_VERSION = tuple(map(int, triton.__version__.split(".")[:2]))


class Driver:
    """Has what Triton asks a driver for.

    Attributes:
        launches: The grid and the arguments of each launch.
        fails: Whether nothing can be loaded, as where there is no C compiler.
    """

    def __init__(self) -> None:
        self.launches: list[tuple[tuple[int, int, int], tuple[Any, ...]]] = []
        self.fails = False
        self.utils = SimpleNamespace(
            load_binary=self._load, get_device_properties=lambda _: {"max_shared_mem": 1 << 17}
        )

    def _load(self, *_: object) -> tuple[object, ...]:
        found = object(), object(), 32, 0, 1024
        return found if _VERSION >= (3, 4) else found[:4]

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _: int) -> int:
        return 0

    def launcher_cls(self, source: object, metadata: object) -> Any:
        if self.fails:
            raise RuntimeError("Failed to find C compiler")
        return self._launch

    def _launch(self, x: int, y: int, z: int, *rest: Any) -> None:
        # The stream, the function, metadata twice, and two hooks come first.
        self.launches.append(((x, y, z), rest[6:]))


DRIVER: Any = Driver()
"""The only one: Triton keeps what it has loaded."""


@contextmanager
def driven() -> Iterator[Driver]:
    """Step parameters on the CPU as if these were on a GPU, but for the work of kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(device.LOADERS, "cpu", device.LOADERS["cuda"])
        driver.set_active(DRIVER)
        DRIVER.launches.clear()
        DRIVER.fails = False
        yield DRIVER


def weights(count: int, size: int = 8) -> list[nn.Parameter]:
    """Return parameters with gradients."""
    params = [nn.Parameter(torch.ones(size)) for _ in range(count)]
    for param in params:
        param.grad = torch.ones(size)
    return params


def launches(name: str) -> list[list[int]]:
    """Return the number of programs of each launch, for each of some steps."""
    with driven() as gpu:
        optimizer = schuss.create_optimizer(name, weights(3), lr=0.1, fused=True)
        found = []
        for _ in range(4):
            before = len(gpu.launches)
            optimizer.step()
            found.append([grid[0] for grid, _ in gpu.launches[before:]])
    return found


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"fused": True},
    "late": {"fused": True},  # so that there are several sets of numbers
    "scaled": {"fused": True},  # by a number that is on the device
    "capturable": {"capturable": True},
}


def launched_by_triton(option: str) -> int:
    """Return how often, in some steps, Triton was asked to find a compiled function."""
    found = 0
    run = JITFunction.run

    def asked(function: Any, *args: Any, **options: Any) -> Any:
        nonlocal found
        found += not options["warmup"]
        return run(function, *args, **options)

    with driven() as gpu, pytest.MonkeyPatch.context() as patch:
        patch.setattr(JITFunction, "run", asked)
        params = weights(3)
        optimizer: Any = schuss.AdamW(params, lr=0.1, **OPTIONS[option])
        if option == "scaled":
            optimizer.grad_scale = torch.tensor(2.0)
        for step in range(4):
            params[0].grad = None if option == "late" and not step else torch.ones(8)
            optimizer.step()
        assert len(gpu.launches) == (8 if option in ("scaled", "capturable") else 4)
    return found


def arguments(name: str) -> list[list[str]]:
    """Return the kinds of the arguments of the first launch of the first step and of the fourth."""
    with driven() as gpu:
        optimizer = schuss.create_optimizer(name, weights(3), lr=0.1, fused=True)
        optimizer.step()
        each = len(gpu.launches)
        for _ in range(3):
            optimizer.step()
    kinds = [[type(x).__name__ for x in given] for _, given in gpu.launches]
    return [kinds[0], kinds[3 * each]]


def engine_without_compiler() -> str:
    """Return which engine takes a step where Triton cannot load what it compiled."""
    params = weights(2)
    optimizer = schuss.Lion(params, lr=0.1)  # which no other test here has loaded
    with driven() as gpu:
        gpu.fails = True
        with pytest.warns(UserWarning, match="Failed to find C compiler"):
            optimizer.step()
        assert params[0][0] < 1
        assert not gpu.launches
        (cohort,) = optimizer.explain().cohorts
    return cohort.engine


def explained(name: str, option: str = "plain") -> str:
    """Return what is said of an optimizer, before the first step."""
    with driven():
        made = schuss.create_optimizer(name, weights(2), lr=0.1, **OPTIONS[option])
        return str(made.explain())


def versions(name: str) -> tuple[int, int]:
    """Return by how much the versions of a parameter and of a state have risen in four steps."""
    with driven():
        params = weights(2)
        optimizer = schuss.create_optimizer(name, params, lr=0.1, fused=True)
        optimizer.step()
        kept = optimizer.state[params[0]]["exp_avg"]
        before = params[0]._version, kept._version
        for _ in range(4):
            optimizer.step()
    return params[0]._version - before[0], kept._version - before[1]


def host_time(count: int, steps: int = 200) -> float:
    """Return the processor time of a step in microseconds, the least of some rounds."""
    torch.set_num_threads(1)
    with driven():
        optimizer = schuss.AdamW(weights(count), lr=0.1, fused=True)
        for _ in range(10):
            optimizer.step()
        rounds = []
        for _ in range(9):
            begin = time.thread_time()
            for _ in range(steps):
                optimizer.step()
            rounds.append((time.thread_time() - begin) / steps)
    return 1e6 * min(rounds)


if __name__ == "__main__":
    for count in (1, 148, 2000):
        sys.stdout.write(f"{count} tensors: {host_time(count, steps=50):.0f} us of the host\n")
