"""Knowledge of a cohort that the foreach engine keeps from step to step, while memory is as it was.

Most steps of a model differ in their numbers and gradients alone. So the lists of tensors, the
instructions of a program and the numbers that have to be tensors are found in the first of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.engines.foreach.instructions import Instructions
from schuss.engines.foreach.lists import Operand, single
from schuss.engines.program.program import Program

if TYPE_CHECKING:
    from schuss.engines.foreach.members import Members

KEPT = 8
"""For how many sets of parameters of a cohort, with one trace each, lists are kept."""

Numbers = Sequence["Operand | Tensor"]
"""The numbers of a program: each a number, one for each parameter, or a number as a tensor."""


class Plan:
    """The instructions of a program, and the numbers of its last step that were made tensors.

    Args:
        program: The program.
        instructions: Its instructions.

    Attributes:
        program: The program.
        instructions: Its instructions.
    """

    def __init__(self, program: Program, instructions: Instructions) -> None:
        self.program = program
        self.instructions = instructions
        self._singles: dict[int, tuple[float, Tensor]] = {}

    def with_singles(self, numbers: Sequence[float | list[float]], dtype: torch.dtype) -> Numbers:
        """Return numbers, and after them those that are needed as tensors."""
        found: list[Operand | Tensor] = [*numbers]
        for at in self.instructions.singles:
            number = numbers[at]
            found.append(number if isinstance(number, list) else self._single(at, number, dtype))
        return found

    def _single(self, at: int, number: float, dtype: torch.dtype) -> Tensor:
        """Return a number as a tensor, the same one in each step, which nobody reads after it.

        New small tensors between the large ones of a step would make the heap grow and shrink.
        """
        before, found = self._singles.get(at, (None, None))
        if found is None:
            found = single(number, dtype)
        elif before != number or not number:  # two zeros differ in their signs
            found.fill_(number)
        self._singles[at] = number, found
        return found


class Kept:
    """The pieces of a cohort, and the plans of its programs.

    Attributes:
        pieces: The pieces by the parameters in them, and by whether these may be divided.
    """

    def __init__(self) -> None:
        self.pieces: dict[tuple[bytes, bool], list[Members]] = {}
        self._plans: dict[tuple[bytes, int], Plan] = {}

    def plan(self, indices: bytes, program: Program, made: Callable[[], Instructions]) -> Plan:
        """Return the plan of a program for some parameters, which is made if it is new.

        Args:
            indices: The positions of the parameters.
            program: The program.
            made: Returns its instructions.
        """
        key = indices, id(program)  # no other program has its id: the plan holds it
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) == KEPT:
                self._plans.clear()
            found = self._plans[key] = Plan(program, made())
        return found
