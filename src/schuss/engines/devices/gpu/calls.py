"""Calls of Triton's functions: compiled before anything is written, and launched without delay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor
from triton.runtime.jit import JITFunction

from schuss.engines.devices.device import Resources
from schuss.engines.errors import UnfusableError
from schuss.storage.numbers import FLAG

RESOURCES: Final[dict[int, Resources]] = {}
"""The resources of functions by `id`: modules of kernels live as long as the process."""


class Calls:
    """Calls functions for one launch.

    Triton finds out in each call which variant of a function the arguments need, which takes longer
    than a small model's step. Here the arguments of a function are of the same types in each call,
    so the variant is kept. Where it does not take a call as expected, Triton's own way does.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[Any, ...], Any] = {}
        self._is_compiling = False

    def __call__(
        self,
        function: Any,
        grid: Sequence[int],
        arguments: Sequence[Any],
        *,
        warps: int,
        **constants: Any,
    ) -> None:
        """Launch a function on the current stream, or only compile it.

        Args:
            function: The function.
            grid: How many programs, in up to three directions.
            arguments: Its arguments.
            warps: Groups of 32 threads in a program.
            constants: The last of its parameters, in order, which are compiled in.
        """
        key = (id(function), *constants.values())
        made = self._made.get(key)
        if made is not None and not self._is_compiling:
            try:
                made[(*grid, 1, 1)[:3]](*arguments, *constants.values())
            except (AttributeError, TypeError):  # of another version of Triton; nothing has run
                self._made[key] = None
            else:
                return
        given = {**constants, "num_warps": warps}
        if not self._is_compiling:
            function[tuple(grid)](*arguments, **given)
        elif isinstance(function, JITFunction):  # which the interpreter does not make
            self._made[key] = _compiled(function, grid, arguments, given)

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """Compile what is called within, and launch nothing.

        Raises:
            UnfusableError: Triton cannot, or there is no C compiler for what it needs of the host.
        """
        self._is_compiling = True
        try:
            yield
        except UnfusableError:
            raise
        except Exception as error:  # Triton, LLVM and the system raise what they like
            raise UnfusableError(f"Triton cannot compile the kernel: {error}") from error
        finally:
            self._is_compiling = False


def _compiled(
    function: Any, grid: Sequence[int], arguments: Sequence[Any], given: dict[str, Any]
) -> Any:
    made = function.warmup(*arguments, grid=tuple(grid), **given)
    is_last = list(given)[:-1] == function.arg_names[len(arguments) :]
    _ = made.run  # which loads it, and makes what launches it
    RESOURCES[id(function)] = Resources(made.n_regs, made.n_spills)
    return made if is_last else None


@cache
def never(device: torch.device) -> Tensor:
    """Return the number with which no step is left out."""
    return torch.zeros(1, dtype=FLAG, device=device)


def current(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which a device is the current one, on which Triton launches."""
    if device.type == "cuda":
        return torch.cuda.device(device)
    if device.type == "xpu":
        return torch.xpu.device(device)
    return nullcontext()
