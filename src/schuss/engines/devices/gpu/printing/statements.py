"""Prints the single statements of kernels: how values are computed from others."""

from __future__ import annotations

from collections.abc import Container, Iterable

from schuss.engines.devices.gpu.expressions import EXPRESSIONS, OF_NUMBERS, TYPES
from schuss.engines.devices.layout import Layout
from schuss.engines.devices.tables.tiles import SHAPE
from schuss.engines.program import names
from schuss.engines.program.computed import SHARED
from schuss.engines.program.operations import DRAWS, SIZES, SPREADS, takes_predicate
from schuss.engines.program.program import COUNT, GRAD, Place
from schuss.storage.kinds import KINDS


class Statements:
    """Prints statements of one program.

    Attributes:
        layout: The memory that the kernel takes.
        program: The program.
        real_size: How many bytes a number has that the kernel computes with.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.program = layout.program
        self.real_size = KINDS[layout.real].bytes
        columns = enumerate(layout.columns)
        self._shared = [column for column, place in columns if place.name.startswith(SHARED)]

    def computed(self, value: int, shape: str, element: str = "") -> str:
        """Print how a value that is no input is computed.

        Args:
            value: The value.
            shape: The shape of a block of it.
            element: The number of each element in its tensor, on which random numbers depend.
        """
        return f"{names.value(value)} = {self._made(value, shape, element)}"

    def _made(self, value: int, shape: str, element: str) -> str:
        operation, *operands = self.program.node(value) or ("",)
        if operation in DRAWS:
            seed = f"tl.load(arguments + {2 * ~operands[0]}).to(tl.int64)"
            return f"{operation}({seed}, tensor, {element}, REAL)"
        if operation in SIZES:
            sizes = (name for bit, name in enumerate(SHAPE[:3]) if SIZES[operation] & 1 << bit)
            return f"({' * '.join(sizes)}).to(REAL)"
        if operation in SPREADS:
            return f"{self.operand('add', 0, operands[0])} + tl.zeros({shape}, REAL)"
        if operation == "div" and operands[1] < 0:
            return f"{self.operand('mul', 0, operands[0])} * {names.reciprocal(~operands[1])}"
        texts = (self.operand(operation, place, o) for place, o in enumerate(operands))
        expression = EXPRESSIONS.get(operation) or OF_NUMBERS[operation]
        return expression.format(*texts, shape=shape, element=element)

    def whole(self, value: int) -> str:
        """Print how what there is one number of for a tensor is read or computed."""
        if value in self.layout.totals:
            at = names.of_tensor(self.layout.totals[value])
            return f"{names.value(value)} = tl.load(totals + {at}).to(REAL)"
        if self.program.node(value) is not None:
            return self.computed(value, "[]")
        place = self.program.inputs[value]
        address = self.address(self.layout.column(place))
        if place == COUNT:
            return f"{names.value(value)} = {address}.to(REAL)"
        return f"{names.value(value)} = load_one({address}, {self.kind(place)}, REAL)"

    def operand(self, operation: str, position: int, operand: int) -> str:
        """Print an operand, as a number or a truth value as it is needed."""
        name, truth = names.operand(operand), takes_predicate(operation, position)
        if operand < 0:
            return f"({name} != 0)" if truth else name
        if truth == self.program.values[operand].predicate:
            return name
        return f"({name} != 0)" if truth else f"{name}.to(REAL)"

    def arguments(self, needed: Iterable[int], given: Container[int]) -> list[str]:
        """Print the loading of a tensor's arguments; of those that divide, the reciprocals."""
        used, divisors = self.layout.arguments_of(v for v in needed if v not in given)
        lines = [f"{names.argument(n)} = tl.load(arguments + {2 * n}).to(REAL)" for n in used]
        return lines + [
            f"{names.reciprocal(n)} = tl.load(arguments + {2 * n + 1}).to(REAL)" for n in divisors
        ]

    def kind(self, place: Place) -> str:
        """Print the type of the numbers at a place."""
        return TYPES[self.layout.kind(place)]

    def size(self, place: Place) -> int:
        """Return how many bytes a number at a place has."""
        return KINDS[self.layout.kind(place)].bytes

    def address(self, column: int) -> str:
        """Print where what a column of the addresses is of begins."""
        if column < len(self.layout.columns) and self.layout.columns[column] == Place(GRAD):
            return "tl.load(upload + begin + words + tensor)"
        if column in self._shared:  # behind those of gradients and of arguments
            which = names.of_tensor(2 + self._shared.index(column))
            return f"tl.load(upload + begin + words + {which})"
        return f"tl.load(addresses + {names.of_tensor(column)})"

    def reduction(self, value: int) -> str:
        """Print the name of a reduction, whatever it leaves numbers for."""
        return f'"{self.layout.reduction_name(value)}"'

    def reduced(self, value: int) -> str:
        """Print the number that a reduction is of."""
        return self.operand("sum", 0, self.program.operands(value)[0])
