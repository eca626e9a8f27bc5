"""Why a rule cannot be traced, or not in this way.

Refusal
├── UnfusableError          (a RuntimeError) no kernel for a rule or for its tensors
│   ├── UntraceableError    the rule did what no program can express
│   ├── NumberReadError     the rule read a number that a graph is to compute
│   └── NoDeviceKernelError there is none, whatever the rule
├── Request                 trace again
│   ├── ShapeRead           with parameters of one shape
│   ├── DimensionsRead      with parameters of one number of dimensions
│   ├── HeadsRead           with the first dimension divided into equal parts
│   ├── WholeRead           with calls of functions that take whole tensors
│   └── PerTensorState      with this state as a value of the program
├── NumberRead              (`tracing.calculation`) trace in every step
└── ApartError, Differ      (`tracing.several`) trace fewer sets of numbers at once

A rule may catch exceptions, with `except Exception` around a `float`, say. A refusal that is raised
while a rule is traced therefore ends the trace wherever the rule goes on: see `refused_at_the_end`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


class _Tracing(threading.local):
    """The trace that runs in a thread.

    Attributes:
        refusals: All that have been made since it began; None if there is no trace.
    """

    refusals: list[Refusal] | None = None


_tracing = _Tracing()


class Refusal(Exception):  # noqa: N818  # most are no errors
    """A rule did what a trace cannot go on with; it counts even if the rule catches it."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        if _tracing.refusals is not None:
            _tracing.refusals.append(self)


@contextmanager
def refused_at_the_end() -> Iterator[None]:
    """Raise the first refusal within the block at its end, if no other one has ended it.

    Raises:
        Refusal: A rule has caught it.
    """
    before, mine = _tracing.refusals, list[Refusal]()
    _tracing.refusals = mine
    try:
        yield
    except Refusal:
        raise
    except Exception:
        if not mine:
            raise
    finally:
        _tracing.refusals = before
    if mine:
        raise mine[0].with_traceback(None) from None


def withdraw(refusal: Refusal) -> None:
    """Forget a refusal, because the tracer has another way to do the same."""
    if _tracing.refusals is not None:
        _tracing.refusals.remove(refusal)


class UnfusableError(Refusal, RuntimeError):
    """No kernel can be made for a rule or run on its tensors; the message tells why."""


class UntraceableError(UnfusableError):
    """A rule did what no program can express; the message names the line."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"no kernel can express {operation} ({_line_of_the_rule()})")


class NumberReadError(UnfusableError):
    """A rule read a number that its device is to compute anew in every step; names the line."""

    def __init__(self) -> None:
        super().__init__(
            f"the rule reads a number in Python ({_line_of_the_rule()}), which a graph repeats "
            "without Python; compute with it as a tensor, see schuss.scalar_math"
        )


class NoDeviceKernelError(UnfusableError):
    """The tensors are on a device for which no kernels are made.

    Attributes:
        is_expected: There are none for such a device, on any machine.
    """

    def __init__(self, device: torch.device, reason: str = "") -> None:
        super().__init__(f"there is no kernel for device {device}{reason and f' ({reason})'}")
        self.is_expected = not reason


class Request(Refusal):
    """A rule is to be traced again, with parameters divided otherwise."""


class ShapeRead(Request):
    """A rule read a shape, while its parameters are of several."""


class DimensionsRead(Request):
    """A rule read how many dimensions a tensor has, while its parameters differ in that.

    Attributes:
        along: It did more: it made statistics along dimensions, or keeps some.
    """

    def __init__(self, *, along: bool) -> None:
        super().__init__(along)
        self.along = along


class WholeRead(Request):
    """A rule calls a function that takes whole tensors, or keeps state of another shape."""


class HeadsRead(Request):
    """A rule divides the first dimension into equal parts, or keeps a number for each."""

    def __init__(self, heads: int) -> None:
        super().__init__(heads)
        self.heads = heads


class PerTensorState(Request):
    """A rule writes a value of the program into state of one number."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _line_of_the_rule() -> str:
    """Return file and line of the innermost caller outside of the tracer and of torch."""
    frame = sys._getframe(2)  # past the error that is being made
    inside = (str(Path(__file__).parent), str(Path(torch.__file__).parent))
    while frame.f_back is not None and frame.f_code.co_filename.startswith(inside):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
