"""Prints the single statements of kernels: how values are read, computed, joined and written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schuss.engines.devices.cpu.expressions import ACCUMULATIONS, EXPRESSIONS, Accumulation
from schuss.engines.devices.cpu.printing.text import loads
from schuss.engines.devices.layout import Layout
from schuss.engines.devices.tables.tiles import SHAPE
from schuss.engines.program import names
from schuss.engines.program.operations import DRAWS, SIZES, SPREADS, takes_predicate
from schuss.engines.program.program import COUNT, GRAD, Node, Place
from schuss.storage.kinds import KINDS


class Statements:
    """Prints statements of one program, whose kernel takes its arguments behind the slots.

    Attributes:
        layout: The memory that the kernel takes.
        program: The program.
        real: The type that it computes in.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.program = layout.program
        self.real = layout.real

    def computed(self, value: int, index: str) -> str:
        """Print how a value is read at an index, or computed from others."""
        node = self.program.node(value)
        made = self._loaded(self.program.inputs[value], index) if node is None else self._made(node)
        return f"{names.value(value)} = {made}"

    def _made(self, node: Node) -> str:
        operation, *operands = node
        if operation in DRAWS:
            seed = f"int64(load_float64(arguments, {~operands[0]}))"
            return f"real({operation}({seed}, tensor, first + i))"
        if operation in SIZES:
            sizes = (name for bit, name in enumerate(SHAPE[:3]) if SIZES[operation] & 1 << bit)
            return f"real({' * '.join(sizes)})"
        if operation in SPREADS:
            return self.operand("add", 0, operands[0])
        if operation == "div" and operands[1] < 0:
            return f"{self.operand('mul', 0, operands[0])} * {names.reciprocal(~operands[1])}"
        texts = (self.operand(operation, place, o) for place, o in enumerate(operands))
        return EXPRESSIONS[operation].format(*texts, element="first + i")

    def shape(self, values: Iterable[int]) -> list[str]:
        """Print the loading of a tensor's shape, if any of some values is a size."""
        sized = any(self.layout.operation(value) in SIZES for value in values)
        return loads(f"shapes + {8 * len(SHAPE)} * tensor", SHAPE) if sized else []

    def whole(self, value: int) -> str:
        """Print how what there is one number of for a tensor is read or computed."""
        if value in self.layout.totals:
            total = f"load_float64(totals, {names.of_tensor(self.layout.totals[value])})"
            return f"{names.value(value)} = real({total})"
        return self.computed(value, "0")

    def operand(self, operation: str, position: int, operand: int) -> str:
        """Print an operand, as a number or a truth value as it is needed."""
        if operand < 0:
            return names.argument(~operand)
        name, truth = names.value(operand), takes_predicate(operation, position)
        if truth == self.program.values[operand].predicate:
            return name
        return f"({name} != zero)" if truth else f"(one if {name} else zero)"

    def arguments(self, needed: Iterable[int], given: Mapping[int, int] | set[int]) -> list[str]:
        """Print the loading of a tensor's arguments; those that divide are inverted here, once."""
        used, divisors = self.layout.arguments_of(v for v in needed if v not in given)
        lines = [f"arguments = {self.address(len(self.layout.columns) + len(self.layout.slots))}"]
        lines += [f"{names.argument(n)} = real(load_float64(arguments, {n}))" for n in used]
        return lines + [
            f"{names.reciprocal(n)} = real(1 / load_float64(arguments, {n}))" for n in divisors
        ]

    def skip(self) -> str:
        """Print what passes over a tensor without a gradient."""
        return f"if {self.address(self.layout.column(Place(GRAD)))}:"

    def size(self, place: Place) -> str:
        """Print how many bytes a number at a place has."""
        return f"size_of_{self.layout.kind(place)}"

    def address(self, column: int) -> str:
        """Print where what a column of the addresses is of begins."""
        return f"load_int64(addresses, {names.of_tensor(column)})"

    def base(self, place: Place) -> str:
        """Print the name of the address where the numbers of a place begin, decoded ones too."""
        column = self.layout.column(place)
        return names.decoded(column) if self.layout.codec(place) else names.place(column)

    def stored(self, place: Place, value: int, index: str) -> str:
        """Print how a value is written to a place."""
        text = self.operand("store", 0, value)
        base = self.base(place)
        return f"store_{self.layout.kind(place)}({base}, {index}, {text})"

    def started(self, value: int) -> str:
        """Print the beginning of a reduction."""
        return f"{names.partial(value)} = {self.accumulation(value).start}"

    def joined(self, value: int) -> str:
        """Print the taking of one number more into a reduction."""
        name = names.partial(value)
        return f"{name} = {self.accumulated(value, name)}"

    def accumulated(self, value: int, so_far: str) -> str:
        """Print a reduction so far, with one number more."""
        number = f"double({self.operand('sum', 0, self.program.operands(value)[0])})"
        return self.accumulation(value).more.format(so_far, number)

    def accumulation(self, value: int) -> Accumulation:
        """Return how a reduction is computed."""
        return ACCUMULATIONS[self.layout.reduction_name(value)]

    def _loaded(self, place: Place, index: str) -> str:
        column = self.layout.column(place)
        if place == COUNT:
            return f"real({self.address(column)})"
        base = self.address(column) if place.per_tensor else self.base(place)
        kind = self.layout.kind(place)
        loaded = f"load_{kind}({base}, {index})"
        return loaded if KINDS[kind].computed == self.real else f"real({loaded})"
