"""Numbers that a device computes before a kernel that takes them, as a program of its own.

At every place of such a program there is one number for each parameter. It reads numbers of the
states, such as the step count, and numbers that all parameters share, such as the learning rate. It
writes numbers of the states, and the arguments of the program that comes after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from schuss.engines.program.program import Program

SHARED = "shared "
"""The beginning of the names of places for numbers that all parameters share."""

_ARGUMENT = "argument "
_RECIPROCAL = "reciprocal of argument "


def argument_at(number: int, *, reciprocal: bool = False) -> str:
    """Return the name of the place of an argument, or of its reciprocal."""
    return f"{_RECIPROCAL if reciprocal else _ARGUMENT}{number}"


def number_at(name: str) -> int | None:
    """Return which number of a table of arguments and reciprocals a place is, None for none."""
    for odd, beginning in enumerate((_ARGUMENT, _RECIPROCAL)):
        if name.startswith(beginning):
            return 2 * int(name.removeprefix(beginning)) + odd
    return None


class Computed(NamedTuple):
    """The computation of numbers.

    Attributes:
        program: The operations.
        arguments: With these numbers.
        shared: The tensors of the numbers that all parameters share, by the names of their places.
    """

    program: Program
    arguments: tuple[float, ...]
    shared: Mapping[str, Tensor]
