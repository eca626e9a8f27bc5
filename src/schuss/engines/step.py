"""A step that has been planned."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from schuss.engines.cohort import Cohort
    from schuss.engines.fused.kernels import Kernel
    from schuss.engines.tracing.program import Program


class Step(NamedTuple):
    """What is to be done to some parameters.

    Attributes:
        take: Does it; returns whether the cohort remains as it is.
        cohort: The parameters, if a program is run for them.
        program: The program.
        kernel: Its kernel, on the fused engine.
    """

    take: Callable[[], bool]
    cohort: Cohort | None = None
    program: Program | None = None
    kernel: Kernel | None = None
