"""Prints the functions that go through tiles, or through the rows, columns and matrices."""

from __future__ import annotations

from collections.abc import Sequence

from schuss.engines.devices.cpu.printing.coded import Coded
from schuss.engines.devices.cpu.printing.statements import Statements
from schuss.engines.devices.cpu.printing.text import indented, job, loads
from schuss.engines.devices.tables.tiles import SHAPE, WORDS
from schuss.engines.program import names
from schuss.engines.program.operations import Form
from schuss.engines.program.schedule import Function, is_saved_when_reduced, of_elements

_TILES = f"""\
entry = taken(job, grain)
while entry < entries:
    for entry in range(entry, entry + grain if entry + grain < entries else entries):
        tile = table + {8 * len(WORDS)} * entry
"""

_INDEX = {Form.MATRIX: "matrix", Form.ROW: "line", Form.COLUMN: "column"}


def body(statements: Statements, function: Function) -> list[str]:
    """Print the body of a function that goes through tiles, or through a smaller form."""
    printer = _Elements if function.form is Form.ELEMENT else _Smaller
    return printer(statements, function).body()


class _Printer:
    """Prints one function."""

    def __init__(self, statements: Statements, function: Function) -> None:
        self.statements = statements
        self.layout = statements.layout
        self.function = function
        self.values = statements.program.values
        self.whole = [v for v in function.needed if self.values[v].form is Form.TENSOR]
        self.coded = Coded(statements, function)

    def needed(self, form: Form) -> list[str]:
        """Print the values of one form: computed, if it is that of the function, or loaded."""
        mine = [v for v in self.function.needed if self.values[v].form is form]
        return [self.read(v) if form is self.function.form else self.loaded(v) for v in mine]

    def read(self, value: int) -> str:
        """Print how a value of the function's form is joined, loaded or computed."""
        program, form = self.statements.program, self.values[value].form
        if of_elements(program, value) and program.is_reduction(value):
            name = self.layout.reduction_name(value)
            partials = (
                "matrices * height, strips" if form is Form.ROW else "matrices * width, bands"
            )
            base = names.slot(value, partials=True)
            joined = f"joined_{name}({base}, {self.index(form)}, {partials})"
            return f"{names.value(value)} = real({joined})"
        if is_saved_when_reduced(program, value):
            return self.loaded(value)
        return self.statements.computed(value, self.index(form))

    def loaded(self, value: int) -> str:
        """Print how a value that was saved is loaded."""
        at = f"{names.slot(value, partials=False)}, {self.index(self.values[value].form)}"
        return f"{names.value(value)} = load_{self.statements.real}({at})"

    def index(self, form: Form) -> str:
        """Print the index of a number of some form."""
        return _INDEX[form]

    def begin(self) -> list[str]:
        """Print what is the same for a whole tensor."""
        found = [f"shape = shapes + {8 * len(SHAPE)} * tensor", *loads("shape", SHAPE)]
        places = {p for p, _ in self.function.outputs}
        inputs = self.statements.program.inputs
        places |= {inputs[v] for v in self.function.needed if v < len(inputs)}
        for column, place in enumerate(self.layout.columns):
            is_plain = place in places and place not in self.coded.places
            if is_plain and place.form is self.function.form:
                found.append(f"{names.place(column)} = {self.statements.address(column)}")
        touched = {*self.function.needed, *self.function.reductions}
        for column, slot in enumerate(self.layout.slots, start=len(self.layout.columns)):
            if slot.value in touched:
                name = names.slot(slot.value, partials=slot.partials)
                found.append(f"{name} = {self.statements.address(column)}")
        return found + [self.statements.whole(v) for v in self.whole]

    def reduced(self, *forms: Form) -> list[int]:
        """Return the reductions that leave numbers of some forms."""
        return [v for v in self.function.reductions if self.values[v].form in forms]

    def started(self, *forms: Form) -> list[str]:
        """Print the beginning of reductions that leave numbers of some forms."""
        return [self.statements.started(v) for v in self.reduced(*forms)]

    def joined(self, *forms: Form) -> list[str]:
        """Print the taking of one number more into reductions."""
        return [*map(self.statements.joined, self.reduced(*forms))]

    def stored(self) -> list[str]:
        """Print the writing of what the function leaves of its own form."""
        index = self.index(self.function.form)
        saved = [self.saved(v, index, names.value(v)) for v in self.function.saved]
        return saved + [self.statements.stored(p, v, index) for p, v in self.function.outputs]

    def saved(self, value: int, index: str, text: str) -> str:
        """Print how a value is kept for later functions."""
        base = names.slot(value, partials=False)
        return f"store_{self.statements.real}({base}, {index}, {text})"

    def arguments(self) -> list[str]:
        """Print the loading of the arguments of what is computed."""
        loaded = {v for v in self.function.needed if self.values[v].form not in self.computed()}
        return self.statements.arguments(self.function.needed, loaded | self.layout.totals.keys())

    def computed(self) -> tuple[Form, Form]:
        """Return the forms that the function computes values of."""
        return (Form.TENSOR, self.function.form)


class _Elements(_Printer):
    """Prints a function that goes through the elements, tile by tile."""

    def index(self, form: Form) -> str:
        """Print the index of a number of some form."""
        return {Form.ELEMENT: "first + i", Form.COLUMN: "column + i"}.get(form) or _INDEX[form]

    def body(self) -> list[str]:
        """Print the body."""
        tensor = [*self.arguments(), *self.begin(), *self.started(Form.TENSOR)]
        if self.coded.places:
            tensor += ["end, last = 0, ((end_matrix - 1) * height + end_line) * width"]
            tensor += self.coded.rooms()
        tensor += ["for matrix in range(first_matrix, end_matrix):", *indented(1, self._matrix())]
        tensor += [
            f"store_float64(partials, {names.of_entry(index)}, {names.partial(v)})"
            for index, v in enumerate(self.reduced(Form.TENSOR))
        ]
        head = [*loads("tile", WORDS), self.statements.skip(), *indented(1, tensor)]
        lines = [*job(shapes=True), *_TILES.splitlines(), *indented(2, head)]
        return [*lines, "    entry = taken(job, grain)"]

    def _matrix(self) -> list[str]:
        lines = [*self.needed(Form.MATRIX), "column = matrix * width + first_column"]
        for v in self.reduced(Form.COLUMN):
            base, mine = names.slot(v, partials=True), names.of_columns(v)
            lines += [
                f"{mine} = {base} + size_of_float64 * (band * matrices * width + column)",
                "for i in range(columns):",
                f"    store_float64({mine}, i, {self.statements.accumulation(v).start})",
            ]
        return [
            *lines,
            "for line in range(matrix * height + first_line, matrix * height + end_line):",
            *indented(1, self._line()),
        ]

    def _line(self) -> list[str]:
        inner = [*self.needed(Form.COLUMN), *self.needed(Form.ELEMENT)]
        inner += self.joined(Form.TENSOR, Form.ROW)
        for v in self.reduced(Form.COLUMN):
            mine = names.of_columns(v)
            so_far = self.statements.accumulated(v, f"load_float64({mine}, i)")
            inner.append(f"store_float64({mine}, i, {so_far})")
        elements = indented(1, inner + self.stored())
        return [
            *self.needed(Form.ROW),
            "first = line * width + first_column",
            *self.started(Form.ROW),
            *(
                self._portions(elements)
                if self.coded.places
                else ["for i in range(columns):", *elements]
            ),
            *map(self._of_line, self.reduced(Form.ROW)),
        ]

    def _portions(self, elements: Sequence[str]) -> list[str]:
        """Print the loop over the parts of a line that lie in different portions.

        A portion goes on in the next line if the tile is as wide as the matrix, so that lines need
        not be made of whole blocks.
        """
        closed = self.coded.closed()
        opening = [
            "begin = first + at",
            "end = last if columns == width else first + columns",
            "end = begin + PORTION if begin + PORTION < end else end",
            "count = end - begin",
            *self.coded.opened("begin"),
            *self.coded.bases("begin"),
        ]
        part = [
            "if first + at >= end:",
            *indented(1, opening),
            "until = columns if first + columns < end else end - first",
            "for i in range(at, until):",
            *elements,
            "at = until",
            *(["if first + at == end:", *indented(1, closed)] if closed else []),
        ]
        return ["at = 0", "while at < columns:", *indented(1, part)]

    def _of_line(self, value: int) -> str:
        base, partial = names.slot(value, partials=True), names.partial(value)
        return f"store_float64({base}, strip * matrices * height + line, {partial})"


class _Smaller(_Printer):
    """Prints a function that goes through matrices, or their rows or columns, tensor by tensor."""

    def body(self) -> list[str]:
        """Print the body."""
        lines = [*self.arguments(), *self.begin(), *self.started(Form.TENSOR)]
        lines += ["for matrix in range(matrices):", *indented(1, self._matrix())]
        lines += [
            f"store_float64(totals, {names.of_tensor(self.layout.totals[v])}, {names.partial(v)})"
            for v in self.reduced(Form.TENSOR)
        ]
        head = [*job(shapes=True), "tensor = taken(job, 1)", "while tensor < tensors:"]
        return [
            *head,
            f"    {self.statements.skip()}",
            *indented(2, lines),
            "    tensor = taken(job, 1)",
        ]

    def _matrix(self) -> list[str]:
        if self.function.form is Form.MATRIX:
            return [*self.needed(Form.MATRIX), *self.joined(Form.TENSOR), *self.stored()]
        name, size = {Form.ROW: ("line", "height"), Form.COLUMN: ("column", "width")}[
            self.function.form
        ]
        inner = [*self.needed(self.function.form), *self.joined(Form.TENSOR, Form.MATRIX)]
        return [
            *self.needed(Form.MATRIX),
            *self.started(Form.MATRIX),
            f"for {name} in range(matrix * {size}, matrix * {size} + {size}):",
            *indented(1, inner + self.stored()),
            *(
                self.saved(v, "matrix", f"real({names.partial(v)})")
                for v in self.reduced(Form.MATRIX)
            ),
        ]
