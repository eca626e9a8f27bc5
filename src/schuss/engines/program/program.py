"""A rule as a program: what it does to one element, in single assignment.

A program names no tensor, no shape and no number. Its inputs are places (the gradient, the
parameter, a key of the state), its numbers are arguments, and so one program serves every parameter
and every value of every hyper-parameter. Two traces of the same operations are equal programs,
whatever numbers took part.

Values have numbers from 0, the inputs first. An operand is the number of a value, or `~k` for the
argument `k`. A value is one number for each element, or (a norm, say) one for each tensor. Where a
rule makes statistics of rows and columns, a tensor is a batch of matrices, and a value may also be
one number for each row, for each column, or for each matrix.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from schuss.engines.errors import UnfusableError
from schuss.engines.program import names
from schuss.engines.program.operations import DRAWS, PREDICATES, REDUCED, SIZES, SPREADS, Form

GRAD = "grad"
PARAM = "param"
STATE = "state."

_OF_ALL = frozenset({*REDUCED, *SPREADS, *SIZES, "stochastic"})
"""Operations that need all numbers of a tensor, its sizes, or the places of numbers in it."""

Node: TypeAlias = tuple[Any, ...]
"""The name of an operation, and its operands; it makes the next value."""


class Place(NamedTuple):
    """Where an input is read, or an output written.

    Attributes:
        name: `GRAD`, `PARAM`, `STATE` and a key of the state, or that of `COUNT`.
        form: The things that it holds one number for each of.
    """

    name: str
    form: Form = Form.ELEMENT

    @property
    def per_tensor(self) -> bool:
        """Whether it holds one number for a tensor."""
        return self.form is Form.TENSOR


COUNT = Place("numel", Form.TENSOR)
"""How many numbers a tensor has; an input of every program."""


class Value(NamedTuple):
    """The form of a value, and the pass that it is known after.

    Attributes:
        form: The things that there is one number for each of.
        predicate: It is true or false.
        after: How many passes have to be complete before it is known.
    """

    form: Form
    predicate: bool
    after: int

    @property
    def per_tensor(self) -> bool:
        """Whether it is one number for a tensor."""
        return self.form is Form.TENSOR


class Program(NamedTuple):
    """The operations of a rule on one element.

    Attributes:
        inputs: Where the first values are read.
        nodes: The operations; each makes the next value.
        outputs: Where values go at the end, all at once.
        values: The form and the pass of each value.
    """

    inputs: tuple[Place, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[tuple[Place, int], ...]
    values: tuple[Value, ...]

    @property
    def passes(self) -> int:
        """How many passes there are: one more for each reduction in a chain.

        A pass goes through the elements, or through what there is of another form, or both.
        """
        known = [(self.values[number], place) for place, number in self.outputs]
        return max([1, *(value.after + (not place.per_tensor) for value, place in known)])

    @property
    def is_by_number(self) -> bool:
        """Whether a number is stepped without any other number of its tensor, or its place there.

        All that it writes is there before, one number for each element.
        """
        written = all(p in self.inputs and p.form is Form.ELEMENT for p, _ in self.outputs)
        return written and not any(node[0] in _OF_ALL for node in self.nodes)

    def node(self, number: int) -> Node | None:
        """Return the operation that makes a value, or None for an input."""
        return None if number < len(self.inputs) else self.nodes[number - len(self.inputs)]

    def operands(self, number: int) -> tuple[int, ...]:
        """Return what a value is made of; nothing, for an input."""
        return (self.node(number) or ())[1:]

    def needed(self, sinks: Iterable[int], given: Container[int] = ()) -> list[int]:
        """Return, in order, the values that `sinks` are computed from, and they themselves.

        Args:
            sinks: Numbers of values.
            given: Values that need not be computed.
        """
        found = set(sinks)
        for number in reversed(range(len(self.values))):
            node = self.node(number)
            if number in found and number not in given and node is not None:
                found.update(operand for operand in node[1:] if operand >= 0)
        return sorted(found)

    def is_reduction(self, number: int) -> bool:
        """Tell whether a value is made of many numbers of another."""
        node = self.node(number)
        return node is not None and node[0] in REDUCED

    def reduced_in(self, number: int, form: Form) -> list[int]:
        """Return the reductions that a pass makes of values of one form."""
        return [
            value
            for value in range(len(self.inputs), len(self.values))
            if self.is_reduction(value)
            and self.values[value].after == number + 1
            and self.values[self.operands(value)[0]].form is form
        ]

    def written_in(self, number: int, form: Form) -> list[tuple[Place, int]]:
        """Return the outputs of one form that a pass writes: the last writes all of them."""
        return [o for o in self.outputs if number == self.passes - 1 and o[0].form is form]

    def __str__(self) -> str:
        """List the program, one operation a line."""
        used = {operand for node in self.nodes for operand in node[1:]}
        used |= {number for _, number in self.outputs}
        lines = [
            f"{names.value(n)} = {place.name}" for n, place in enumerate(self.inputs) if n in used
        ]
        for number, (operation, *operands) in enumerate(self.nodes, start=len(self.inputs)):
            lines.append(
                f"{names.value(number)} = {operation}({', '.join(map(names.operand, operands))})"
            )
        lines += [f"{place.name} <- {names.value(number)}" for place, number in self.outputs]
        return "\n".join(lines)


@lru_cache(maxsize=1024)
def program(
    inputs: tuple[Place, ...], nodes: tuple[Node, ...], outputs: tuple[tuple[str, int], ...]
) -> Program:
    """Return a program without operations that lead to no output, and without repeated ones.

    The inputs stay, so that a program's inputs are the places that its rule was given.

    Args:
        inputs: Where the first values are read.
        nodes: The operations as they were traced.
        outputs: Names of places, and the values that go there; those that change nothing are left
            out.

    Raises:
        UnfusableError: A value has more numbers than the place where it goes.
    """
    read = [place.name for place in inputs]
    outputs = tuple(
        (name, number) for name, number in outputs if number >= len(read) or read[number] != name
    )
    kept, renumbered = _without_repeats(len(inputs), nodes, {number for _, number in outputs})
    values = [Value(place.form, predicate=False, after=0) for place in inputs]
    for node in kept:
        values.append(_made(node, values))
    placed = {place.name: place for place in inputs}
    _check_forms(outputs, placed, [values[renumbered[number]].form for _, number in outputs])
    return Program(
        inputs,
        tuple(kept),
        tuple(
            (
                placed.get(name) or Place(name, values[renumbered[number]].form),
                renumbered[number],
            )
            for name, number in outputs
        ),
        tuple(values),
    )


def _check_forms(
    outputs: Iterable[tuple[str, int]], placed: Mapping[str, Place], made: Iterable[Form]
) -> None:
    """Refuse to write more numbers to a place than it holds."""
    for (name, _), form in zip(outputs, made, strict=True):
        held = placed.get(name)
        if held is not None and held.form | form != held.form:
            raise UnfusableError(
                f"{name} holds a number for each {held.form.name.lower()}, and the rule writes one "
                f"for each {form.name.lower()}"
            )


def alive_in(inputs: int, nodes: Sequence[Node], ends: Iterable[int]) -> set[int]:
    """Return the values that others are made of, up to some at the end."""
    alive = set(ends)
    for number in reversed(range(inputs, inputs + len(nodes))):
        if number in alive:
            alive.update(operand for operand in nodes[number - inputs][1:] if operand >= 0)
    return alive


def _without_repeats(
    inputs: int, nodes: tuple[Node, ...], alive: set[int]
) -> tuple[list[Node], dict[int, int]]:
    """Return the nodes that are needed, each once, and the new numbers of values."""
    alive = alive_in(inputs, nodes, alive)
    renumbered = {number: number for number in range(inputs)}
    known: dict[Node, int] = {}
    for number, (operation, *operands) in enumerate(nodes, start=inputs):
        if number not in alive:
            continue
        node = (operation, *(renumbered[o] if o >= 0 else o for o in operands))
        renumbered[number] = known.setdefault(node, inputs + len(known))
    return list(known), renumbered


def _made(node: Node, values: list[Value]) -> Value:
    """Return what is known of the value that a node makes."""
    operation, *operands = node
    sources = [values[operand] for operand in operands if operand >= 0]
    after = max((source.after for source in sources), default=0)
    if operation in REDUCED:
        return Value(REDUCED[operation][1], predicate=False, after=after + 1)
    form = Form.ELEMENT if operation in DRAWS else SPREADS.get(operation, Form.TENSOR)
    for source in sources:
        form = Form(form | source.form)
    return Value(form, predicate=operation in PREDICATES, after=after)
