"""A rule as a program: what it does to one element, in single assignment.

A program names no tensor, no shape and no number. Its inputs are places (the gradient, the
parameter, a key of the state), its numbers are arguments, and so one program serves every parameter
and every value of every hyper-parameter. Two traces of the same operations are equal programs,
whatever numbers took part.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

GRAD = "grad"
PARAM = "param"
STATE = "state."


PRIMITIVES: dict[str, str] = {
    "abs": "abs({0})",
    "add": "{0} + {1}",
    "addcdiv": "{0} + {3} * {1} / {2}",
    "addcmul": "{0} + {3} * {1} * {2}",
    "add_scaled": "{0} + {2} * {1}",
    "atan2": "math.atan2({0}, {1})",
    "clamp_max": "{1} if {0} > {1} else {0}",
    "clamp_min": "{1} if {0} < {1} else {0}",
    "div": "{0} / {1}",
    "eq": "{0} == {1}",
    "exp": "math.exp({0})",
    "full": "{1}",
    "ge": "{0} >= {1}",
    "gt": "{0} > {1}",
    "le": "{0} <= {1}",
    "lerp": "{0} + {2} * ({1} - {0}) if {2} < half else {1} - ({1} - {0}) * (one - {2})",
    "log": "math.log({0})",
    "logical_and": "{0} and {1}",
    "logical_not": "not {0}",
    "logical_or": "{0} or {1}",
    "lt": "{0} < {1}",
    "maximum": "{0} if {0} > {1} or {0} != {0} else {1}",
    "minimum": "{0} if {0} < {1} or {0} != {0} else {1}",
    "mul": "{0} * {1}",
    "ne": "{0} != {1}",
    "neg": "-{0}",
    "pow": "{0} ** {1}",
    "reciprocal": "one / {0}",
    "rsqrt": "one / math.sqrt({0})",
    "sign": "one if {0} > zero else (-one if {0} < zero else zero)",
    "sqrt": "math.sqrt({0})",
    "square": "{0} * {0}",
    "sub": "{0} - {1}",
    "tanh": "math.tanh({0})",
    "where": "{1} if {0} else {2}",
}
"""Every operation that a program may contain, as Python for one element.

Adding one is adding its row. Comparisons are written so that they are false for NaN, and the branch
that is then taken lets it through, as torch does.
"""


class Value(NamedTuple):
    """Operand: the input or the result with this number."""

    number: int

    def __str__(self) -> str:
        """Show it as the listing of a program does."""
        return f"v{self.number}"


class Argument(NamedTuple):
    """Operand: the number that is passed at this position."""

    number: int

    def __str__(self) -> str:
        """Show it as the listing of a program does."""
        return f"a{self.number}"


class Node(NamedTuple):
    """One operation on earlier values and arguments."""

    operation: str
    operands: tuple[Value | Argument, ...]


class Program(NamedTuple):
    """What a rule does to one element.

    Attributes:
        inputs: Where the first values are read: the gradient, the parameter, keys of the state.
        nodes: The operations; each makes the next value.
        outputs: Where values go at the end, all at once.
    """

    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[tuple[str, Value], ...]

    def __str__(self) -> str:
        """List the program, one operation a line."""
        lines = [f"v{number} = {place}" for number, place in enumerate(self.inputs)]
        for number, node in enumerate(self.nodes, start=len(self.inputs)):
            operands = ", ".join(map(str, node.operands))
            lines.append(f"v{number} = {node.operation}({operands})")
        lines += [f"{place} <- {value}" for place, value in self.outputs]
        return "\n".join(lines)


@lru_cache(maxsize=1024)
def without_dead_values(
    inputs: tuple[str, ...], nodes: tuple[Node, ...], outputs: tuple[tuple[str, Value], ...]
) -> Program:
    """Return the program without operations that lead to no output, and without copies.

    The inputs stay, so that a program's inputs are the places that its rule was given.
    """
    alive = {value for _, value in outputs}
    for index in reversed(range(len(nodes))):
        if Value(index + len(inputs)) in alive:
            alive.update(o for o in nodes[index].operands if isinstance(o, Value))
    renumbered = {Value(number): Value(number) for number in range(len(inputs))}
    kept: list[Node] = []
    for index, node in enumerate(nodes):
        value = Value(index + len(inputs))
        if value in alive:
            renumbered[value] = Value(len(inputs) + len(kept))
            operands = (renumbered[o] if isinstance(o, Value) else o for o in node.operands)
            kept.append(Node(node.operation, tuple(operands)))
    return Program(
        inputs, tuple(kept), tuple((place, renumbered[value]) for place, value in outputs)
    )
