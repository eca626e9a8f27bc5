"""Several operations of a program as one, where torch has a function on lists for them.

A call on lists reads and writes all of its tensors, so that fewer calls are fewer trips to memory.
A product or a quotient that is only added to something is part of the addition, and a number that
it is multiplied by or divided by becomes part of the factor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from schuss.engines.program.program import Node, Program

FACTORS: dict[str, Callable[..., float]] = {
    "one": lambda: 1.0,
    "neg": lambda x: -x,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y if y else x * float("inf"),
}
"""How numbers are computed from the arguments of a program."""


class Contracted(NamedTuple):
    """The operations of a program, fewer than they were.

    Attributes:
        nodes: The operation that makes each value, by the number of the value, in order.
        arguments: How many arguments the program has.
        factors: Numbers beside these: the name of a function in `FACTORS`, and its operands.
            The operand `~k` is the argument `k`, or the factor `k - arguments`.
    """

    nodes: dict[int, Node]
    arguments: int
    factors: list[Node]

    def numbers(self, arguments: Sequence[float]) -> list[float]:
        """Return the arguments of the program, and the factors."""
        numbers = list(arguments[: self.arguments])
        for name, *operands in self.factors:
            numbers.append(FACTORS[name](*(numbers[~operand] for operand in operands)))
        return numbers


def contracted(program: Program) -> Contracted:
    """Return the operations of a program, where possible several as one.

    Args:
        program: The program.
    """
    return _Contraction(program).made()


class _Contraction:
    """The operations of one program, while they become fewer."""

    def __init__(self, program: Program) -> None:
        self._values = program.values
        self._nodes = dict(enumerate(program.nodes, start=len(program.inputs)))
        used = [~o for node in program.nodes for o in node[1:] if o < 0]
        self._arguments = max(used, default=-1) + 1
        self._factors: list[Node] = []
        self._uses = Counter(o for node in program.nodes for o in node[1:] if o >= 0)
        self._uses.update(number for _, number in program.outputs)

    def made(self) -> Contracted:
        for number in list(self._nodes):
            node: Node | None = self._nodes[number]
            while node is not None:
                self._nodes[number] = node
                node = self._with_a_term(number) or self._with_a_factor(number)
        nodes = {n: node for n, node in self._nodes.items() if self._uses[n]}
        return Contracted(nodes, self._arguments, self._factors)

    def _with_a_term(self, number: int) -> Node | None:
        """Return a sum of which one term is made by another operation, as one operation."""
        operation, *operands = self._nodes[number]
        if operation == "add" and min(operands) >= 0:
            x, y = operands
            for whole, term in ((x, y), (y, x)):
                node = self._inlined(number, term)
                if node and (node[0] == "mul" or (node[0] == "div" and min(node[1:]) >= 0)):
                    return self._sum_of(whole, term, node, "one")
        if operation == "sub" and min(operands) >= 0:
            node = self._inlined(number, operands[1])
            if node and node[0] == "mul" and min(node[1:]) < 0:
                return self._sum_of(operands[0], operands[1], node, "neg")
        if operation == "add_scaled" and operands[1] >= 0 > operands[2]:
            whole, term, factor = operands
            node = self._inlined(number, term)
            if node and node[0] in ("mul", "div") and min(node[1:]) >= 0:
                self._uses[term] -= 1
                return (f"addc{node[0]}", whole, *node[1:], factor)
        return None

    def _sum_of(self, whole: int, term: int, node: Node, sign: str) -> Node:
        """Return a number plus a product or a quotient, which no other operation needs."""
        self._uses[term] -= 1
        operation, *operands = node
        if min(operands) >= 0:
            return (f"addc{operation}", whole, *operands, self._factor("one"))
        x, factor = sorted(operands, reverse=True)
        return ("add_scaled", whole, x, self._factor("neg", factor) if sign == "neg" else factor)

    def _with_a_factor(self, number: int) -> Node | None:
        """Return a sum, with a number that one operand is multiplied by as part of its factor."""
        operation, *operands = self._nodes[number]
        if operation not in ("add_scaled", "addcmul", "addcdiv") or operands[-1] >= 0:
            return None
        whole, term, *others, factor = operands
        node = self._inlined(number, term)
        if node is None or node[0] not in ("mul", "div"):
            return None
        kind, x, by = node
        if kind == "mul" and x < 0:
            x, by = by, x
        if x < 0 or by >= 0:
            return None
        self._uses[term] -= 1
        return (operation, whole, x, *others, self._factor(kind, factor, by))

    def _inlined(self, number: int, operand: int) -> Node | None:
        """Return the operation that makes an operand, if that is all that it is made for."""
        node = self._nodes.get(operand)
        if node is None or self._uses[operand] != 1:
            return None
        known = [self._values[o] for o in (number, operand, *node[1:]) if o >= 0]
        alike = all(each.form is known[0].form and not each.predicate for each in known)
        return node if alike and not known[0].per_tensor else None

    def _factor(self, name: str, *operands: int) -> int:
        """Return a number that is computed from others, as an operand."""
        self._factors.append((name, *operands))
        return ~(self._arguments + len(self._factors) - 1)
