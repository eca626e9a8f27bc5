"""The loops over the elements of a portion: one, or two if much is computed from a quotient.

A processor works on several elements at once, as far as the operations that wait for others fit
into its lists. A quotient or a root takes long, and where it is followed by many operations, these
fill the lists while they wait. A second loop, which takes from the cache what the first has left,
finds all of it ready. Where there are portions, there is memory for that. A truth value is left as
1 or 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schuss.engines.devices.cpu.printing.statements import Statements
from schuss.engines.devices.cpu.printing.text import indented
from schuss.engines.program import names
from schuss.engines.program.program import Place
from schuss.engines.program.schedule import Function

_SLOW = frozenset(("addcdiv", "div", "rsqrt", "sqrt"))
"""The operations that take long."""

_MANY = 12
"""How many instructions have to follow for a second loop."""

_INSTRUCTIONS = {
    **dict.fromkeys(("atan2", "cube_root"), 30),
    **dict.fromkeys(("join_int8", "join_int16", "lower_int8", "lower_int16"), 6),
    **dict.fromkeys(("upper_int8", "upper_int16"), 5),
}
"""How many instructions an operation takes, roughly, if they are several."""

_STORED = {"bfloat16": 5}
"""How many it takes to store a number of a kind, if they are several."""


class Loop(NamedTuple):
    """A loop over the elements of a portion.

    Attributes:
        values: The values that it computes or reads, in order.
        outputs: The places that it writes to, and what.
        taken: The values that it takes from the first loop.
        left: The values that it leaves for the second.
    """

    values: Sequence[int]
    outputs: Sequence[tuple[Place, int]]
    taken: Sequence[int] = ()
    left: Sequence[int] = ()


class Loops:
    """Prints the loops of a function.

    Args:
        statements: Prints the statements of the program.
        function: The function.
    """

    def __init__(self, statements: Statements, function: Function) -> None:
        program, layout = statements.program, statements.layout
        self._statements, self._function = statements, function
        self._values = [v for v in function.needed if not program.values[v].per_tensor]
        self._inputs = len(program.inputs)
        self._decoded = {v: p for p, v in reversed(function.outputs) if layout.codec(p)}
        self._whole = Loop(self._values, function.outputs)
        self._loops = self._two() or [self._whole]

    def rooms(self) -> list[str]:
        """Print the taking of room for what the first loop leaves for the second."""
        left = [value for loop in self._loops for value in loop.left]
        return [f"{names.left(value)} = room_of_portion()" for value in left]

    def whole(self) -> list[str]:
        """Print one loop over the elements from `first` on, of which there are `count`."""
        return self._printed(self._whole)

    def all(self) -> list[str]:
        """Print the same, in two loops where that is better."""
        return [line for loop in self._loops for line in self._printed(loop)]

    def _two(self) -> list[Loop]:
        """Return two loops, if many instructions follow a slow one; else nothing."""
        if self._function.reductions or self._statements.real != "float32":
            return []
        layout, found = self._statements.layout, list[list[Loop]]()
        following = 0
        for at in range(len(self._values), 0, -1):
            if following >= _MANY:
                found.append(self._cut(at))
                if layout.operation(self._values[at - 1]) in _SLOW:
                    return min(reversed(found), key=lambda loops: len(loops[0].left))
            following += self._instructions(self._values[at - 1])
        return []

    def _cut(self, at: int) -> list[Loop]:
        """Return two loops, of which the first has so many of the values, as far as it needs them.

        The second one reads again what it needs and nobody has written to.
        """
        program, done = self._statements.program, set(self._values[:at])
        first, second = (
            [(place, v) for place, v in self._function.outputs if (v in done) is is_done]
            for is_done in (True, False)
        )
        needed = {*program.needed([value for _, value in second], done)} & {*self._values}
        written = {place for place, _ in first}
        again = {v for v in needed & done if v < self._inputs and program.inputs[v] not in written}
        taken = sorted(needed & done - again)
        left = [v for v in taken if v not in self._decoded]
        before = {*program.needed([*left, *(value for _, value in first)])}
        return [
            Loop([v for v in self._values if v in before], first, left=left),
            Loop(sorted(needed - {*taken}), second, taken),
        ]

    def _instructions(self, value: int) -> int:
        layout = self._statements.layout
        kinds = [layout.kind(place) for place, v in self._function.outputs if v == value]
        stored = sum(_STORED.get(kind, 1) for kind in kinds)
        return stored + _INSTRUCTIONS.get(layout.operation(value), 1)

    def _printed(self, loop: Loop) -> list[str]:
        print_ = self._statements
        body = [self._taken(value) for value in loop.taken]
        body += [print_.computed(value, "i") for value in loop.values]
        body += map(print_.joined, self._function.reductions)
        body += [f"store_float32({names.left(v)}, i, {names.value(v)})" for v in loop.left]
        body += [print_.stored(place, value, "i") for place, value in loop.outputs]
        return ["for i in range(count):", *indented(1, body)]

    def _taken(self, value: int) -> str:
        place = self._decoded.get(value)
        base = names.left(value) if place is None else self._statements.base(place)
        return f"{names.value(value)} = load_float32({base}, i)"
