"""The optimizers that a test goes through, and the parameters that they take.

Most tests are of every optimizer. One of matrices alone takes no vectors, and its kernels take long
to compile, so that a test chooses from `TRACED`, or lets its parameters be `fitting` and its engine
the loop. `tests/conformance/test_of_matrices.py` and the ledger compare the engines.
"""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor

import schuss

EVERY = [info.name for info in schuss.list_optimizers()]
"""The names of all."""

OF_MATRICES = [info.name for info in schuss.list_optimizers() if info.cls.takes_matrices_only]
"""Those that take matrices only."""

FOR_STACKS = [name for name in OF_MATRICES if name != "psgdkron"]
"""Those of matrices that the stacked engine runs; what draws random numbers is left to the loop."""

TRACED = [name for name in EVERY if name not in OF_MATRICES]
"""Those that take parameters of every shape, on every engine."""


MATRIX_SHAPES = ((5, 3), (3, 4), (1, 1), (4, 4), (2, 6))
"""Shapes of parameters that all of them take."""


def fitting(algorithm: Any, numbers: Tensor) -> Tensor:
    """Return numbers in a shape that an optimizer takes: as they are, or in rows.

    Args:
        algorithm: Its name or its class.
        numbers: A tensor of any shape.
    """
    if isinstance(algorithm, str):
        [info] = schuss.list_optimizers(algorithm)
        algorithm = info.cls
    if not getattr(algorithm, "takes_matrices_only", False):
        return numbers
    return numbers.reshape(1, -1) if numbers.dim() < 2 else numbers.flatten(1)


def in_float32(name: str) -> dict[str, str]:
    """Return the option with which an optimizer multiplies matrices in float32, if it has any."""
    [info] = schuss.list_optimizers(name)
    has_option = "precision" in inspect.signature(info.cls).parameters
    return {"precision": "float32"} if has_option else {}


def on(engine: dict[str, bool], name: str) -> dict[str, bool]:
    """Return the options that choose an engine: the loop for optimizers of matrices."""
    return engine if name in TRACED else {"foreach": False}
