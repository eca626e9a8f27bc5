"""The instructions of a program: what is called in which order, and which memory takes the result.

They are found once for a program. A value lives until the last operation that needs it, and that
operation writes its result over it if nobody else has a claim to that memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from schuss.engines.foreach.contracted import Contracted, contracted
from schuss.engines.foreach.lists import function_of, has_function, takes_tensor
from schuss.engines.program.operations import SIZES, SPREADS
from schuss.engines.program.program import PARAM, Node, Place, Program

_COMMUTATIVE = frozenset({"add", "maximum", "minimum", "mul"})


class Instruction(NamedTuple):
    """One call.

    Attributes:
        number: The value that it makes.
        operation: The operation.
        operands: Numbers of values, or `~k` for the number `k`, counting arguments, factors and
            then numbers as tensors.
        over: The operand whose memory takes the result, by its position; None for new memory.
        function: The function on lists for it, if there is one.
        last: The values that nothing needs after it.
    """

    number: int
    operation: str
    operands: tuple[int, ...]
    over: int | None
    function: Callable[..., Any] | None
    last: tuple[int, ...]


class Output(NamedTuple):
    """The end of a value.

    Attributes:
        place: Where it goes.
        number: The value.
        cloned: Whether it is in memory of a place that another value goes to.
        there: Whether it is in the memory of its place already.
    """

    place: Place
    number: int
    cloned: bool
    there: bool


class Instructions(NamedTuple):
    """The instructions of a program.

    Attributes:
        inputs: The places that are read, by number.
        calls: The calls.
        outputs: The places that are written, and the numbers of their values.
        contracted: The operations, and the numbers beside the arguments.
        singles: The numbers that are needed as tensors.
        param: The number of the parameter among the values.
        values: How many values there are.
    """

    inputs: dict[int, Place]
    calls: tuple[Instruction, ...]
    outputs: tuple[Output, ...]
    contracted: Contracted
    singles: tuple[int, ...]
    param: int
    values: int


@lru_cache(maxsize=1024)
def instructions(
    program: Program, copies: frozenset[int] = frozenset(), *, on_cpu: bool = False
) -> Instructions:
    """Return the instructions of a program.

    Args:
        program: The program.
        copies: Inputs that are copies of what is in the optimizer, by number.
        on_cpu: Whether to hand over numbers as tensors. The functions of the CPU otherwise make a
            tensor of the number for every tensor in a list.
    """
    return _Memory(program, copies, on_cpu=on_cpu).instructions()


class _Memory:
    """The memory that the values of a program are in."""

    def __init__(self, program: Program, copies: frozenset[int], *, on_cpu: bool) -> None:
        self._program = program
        self._on_cpu = on_cpu
        self._singles: list[int] = []
        self._contracted = contracted(program)
        self._goals = {number: place for place, number in program.outputs}
        written = {place for place, _ in program.outputs}
        places = {n: place for n, place in enumerate(program.inputs) if n not in copies}
        # The place at whose memory a value is, if it is at any.
        self._homes = {n: place for n, place in places.items() if place in written}
        self._ours = {*self._homes, *copies}  # what may be written over
        self._last = {n: n for n in self._contracted.nodes}
        for number, (_, *operands) in self._contracted.nodes.items():
            self._last |= {operand: number for operand in operands if operand >= 0}
        self._last |= {number: len(program.values) for _, number in program.outputs}

    def instructions(self) -> Instructions:
        calls = tuple(self._call(n, node) for n, node in self._contracted.nodes.items())
        outputs = []
        for place, number in self._program.outputs:
            home = self._homes.get(number)
            outputs.append(Output(place, number, home not in (None, place), home == place))
        inputs = {n: p for n, p in enumerate(self._program.inputs) if n in self._last}
        param = self._program.inputs.index(Place(PARAM))
        ends = tuple(outputs), self._contracted, tuple(self._singles)
        return Instructions(inputs, calls, *ends, param, len(self._program.values))

    def _call(self, number: int, node: Node) -> Instruction:
        operation, *operands = node
        together = self._is_together(number, node)
        over = self._over(number, node) if together else None
        if over is not None and operands[over] in self._homes:
            self._homes[number] = self._homes[operands[over]]
        self._ours.add(number)
        last = {o for o in operands if o >= 0 and self._last[o] == number}
        function = function_of(operation, over) if together else None
        if together and self._on_cpu and takes_tensor(operation) and operands[1] < 0:
            operands[1] = self._single(~operands[1])
        return Instruction(number, operation, tuple(operands), over, function, tuple(sorted(last)))

    def _single(self, number: int) -> int:
        """Return a number as a tensor, as an operand."""
        if number not in self._singles:
            self._singles.append(number)
        contracted = self._contracted
        first = contracted.arguments + len(contracted.factors)
        return ~(first + self._singles.index(number))

    def _is_together(self, number: int, node: Node) -> bool:
        operation, *operands = node
        values = self._program.values
        known = [values[o] for o in operands if o >= 0]
        return (
            operation not in SPREADS
            and operation not in SIZES
            and has_function(operation, [o < 0 for o in operands])
            and not any(k.predicate or k.per_tensor for k in known)
            and {k.form for k in known} == {values[number].form}
        )

    def _over(self, number: int, node: Node) -> int | None:
        """Return the operand that takes the result, the one that is where the result goes first."""
        operation, *operands = node
        found = [
            position
            for position, operand in enumerate(operands[: 2 if operation in _COMMUTATIVE else 1])
            if operand in self._ours
            and self._last[operand] == number
            and operands.count(operand) == 1
        ]
        goal = self._goals.get(number)
        homes = [self._homes.get(operands[position]) for position in found]
        ranks = [0 if home == goal else 1 if home is None else 2 for home in homes]
        return min(zip(ranks, found, strict=True))[1] if found else None
