"""Prints the single statements of kernels: how values are read, computed, joined and written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from schuss.engines.devices.device import Accumulation, Device
from schuss.engines.kernels.printing.text import loads
from schuss.engines.kernels.tiles import SHAPE
from schuss.engines.program.operations import (
    DRAWS,
    REDUCED,
    SIZES,
    SPREADS,
    Form,
    takes_predicate,
)
from schuss.engines.program.program import COUNT, GRAD, Place, Program
from schuss.engines.program.schedule import SMALLER, Function, is_saved_when_reduced
from schuss.storage.kinds import LOADED, Kinds


class Slot(NamedTuple):
    """Memory of a kernel's own, from pass to pass: an address for each tensor, as a place has.

    Attributes:
        value: Whose.
        form: The things that it holds one number for each of.
        partials: One for each tile, to be joined; else the value itself.
    """

    value: int
    form: Form
    partials: bool


class Statements:
    """Prints statements of one program.

    Attributes:
        program: The program.
        real: The type that it computes in.
        columns: The places whose addresses it takes, in this order; then come `slots`, and last
            the arguments.
        slots: Its own memory.
        totals: For each reduction that leaves one number for a tensor, its position.
    """

    def __init__(
        self, program: Program, functions: Sequence[Function], kinds: Kinds, device: Device
    ) -> None:
        self.program = program
        self._device = device
        self.real = kinds.real
        made = [value for function in functions for value in function.reductions]
        whole = [value for value in made if program.values[value].form is Form.TENSOR]
        self.totals = {value: index for index, value in enumerate(whole)}
        reduced = [v for f in functions if f.form is Form.ELEMENT for v in f.reductions]
        saved = [v for f in functions for v in f.saved]
        saved += [v for v in made if is_saved_when_reduced(program, v)]
        forms = {value: program.values[value].form for value in (*reduced, *saved)}
        self.slots = [Slot(v, forms[v], partials=True) for v in reduced if forms[v] in SMALLER]
        self.slots += [Slot(v, forms[v], partials=False) for v in saved]
        written = [place for place, _ in program.outputs if place not in program.inputs]
        self.columns = [*program.inputs, *written]
        self._kinds = dict(kinds.at)
        for place in written:
            self._kinds[place.name] = kinds.real if place.per_tensor else kinds.made

    def operation(self, value: int) -> str:
        """Return the name of the operation that makes a value, or nothing for an input."""
        node = self.program.node(value)
        return node[0] if node else ""

    def computed(self, value: int, index: str) -> str:
        """Print how a value is read at an index, or computed from others."""
        node = self.program.node(value)
        if node is None:
            return f"v{value} = {self._loaded(self.program.inputs[value], index)}"
        operation, *operands = node
        if operation in DRAWS:
            seed = f"int64(load_float64(arguments, {~operands[0]}))"
            return f"v{value} = real({operation}({seed}, tensor, first + i))"
        if operation in SIZES:
            sizes = (name for bit, name in enumerate(SHAPE[:3]) if SIZES[operation] & 1 << bit)
            return f"v{value} = real({' * '.join(sizes)})"
        if operation in SPREADS:
            return f"v{value} = {self.operand('add', 0, operands[0])}"
        if operation == "div" and operands[1] < 0:
            return f"v{value} = {self.operand('mul', 0, operands[0])} * r{~operands[1]}"
        texts = (self.operand(operation, place, o) for place, o in enumerate(operands))
        return f"v{value} = " + self._device.expressions[operation].format(*texts)

    def shape(self, values: Iterable[int]) -> list[str]:
        """Print the loading of a tensor's shape, if any of some values is a size."""
        sized = any(self.operation(value) in SIZES for value in values)
        return loads(f"shapes + {8 * len(SHAPE)} * tensor", SHAPE) if sized else []

    def whole(self, value: int) -> str:
        """Print how what there is one number of for a tensor is read or computed."""
        if value in self.totals:
            total = f"load_float64(totals, {self.totals[value]} * tensors + tensor)"
            return f"v{value} = real({total})"
        return self.computed(value, "0")

    def operand(self, operation: str, position: int, operand: int) -> str:
        """Print an operand, as a number or a truth value as it is needed."""
        if operand < 0:
            return f"a{~operand}"
        truth = takes_predicate(operation, position)
        if truth == self.program.values[operand].predicate:
            return f"v{operand}"
        return f"(v{operand} != zero)" if truth else f"(one if v{operand} else zero)"

    def arguments(self, needed: Iterable[int], given: Mapping[int, int] | set[int]) -> list[str]:
        """Print the loading of a tensor's arguments; those that divide are inverted here, once."""
        used, divisors = set(), set()
        for operation, *operands in (
            self.program.node(v) or ("",) for v in needed if v not in given
        ):
            if operation in DRAWS:
                continue
            divides = operation == "div" and operands[1] < 0
            divisors |= {~operands[1]} if divides else set()
            used |= {~o for o in (operands[:1] if divides else operands) if o < 0}
        lines = [f"arguments = {self.address(len(self.columns) + len(self.slots))}"]
        lines += [f"a{n} = real(load_float64(arguments, {n}))" for n in sorted(used)]
        return lines + [f"r{n} = real(1 / load_float64(arguments, {n}))" for n in sorted(divisors)]

    def skip(self) -> str:
        """Print what passes over a tensor without a gradient."""
        return f"if {self.address(self.columns.index(Place(GRAD)))}:"

    def size(self, place: Place) -> str:
        """Print how many bytes a number at a place has."""
        return f"size_of_{self._kinds[place.name]}"

    def address(self, column: int) -> str:
        """Print where what a column of the addresses is of begins."""
        return f"load_int64(addresses, {column} * tensors + tensor)"

    def stored(self, place: Place, value: int, index: str) -> str:
        """Print how a value is written to a place."""
        text = self.operand("store", 0, value)
        column = self.columns.index(place)
        return self._device.stored(self._kinds[place.name], f"p{column}", index, text)

    def started(self, value: int) -> str:
        """Print the beginning of a reduction."""
        return f"partial_{value} = {self.accumulation(value).start}"

    def accumulated(self, value: int, so_far: str) -> str:
        """Print a reduction so far, with one number more."""
        number = f"double({self.operand('sum', 0, self.program.operands(value)[0])})"
        return self.accumulation(value).more.format(so_far, number)

    def accumulation(self, value: int) -> Accumulation:
        """Return how a reduction is computed."""
        return self._device.accumulations[self.reduction_name(value)]

    def reduction_name(self, value: int) -> str:
        """Return the name of a reduction, whatever it leaves numbers for."""
        return REDUCED[self.operation(value)][0]

    def _loaded(self, place: Place, index: str) -> str:
        column = self.columns.index(place)
        if place == COUNT:
            return f"real({self.address(column)})"
        base = self.address(column) if place.per_tensor else f"p{column}"
        kind = self._kinds[place.name]
        loaded = self._device.loaded(kind, base, index)
        return loaded if LOADED[kind] == self.real else f"real({loaded})"
