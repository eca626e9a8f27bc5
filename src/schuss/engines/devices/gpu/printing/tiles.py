"""Prints the functions that go through tiles, block by block.

A block has the dimensions matrices, lines and columns. A value with one number for each row has
one column there, so Triton repeats it where it meets the elements.
"""

from __future__ import annotations

from schuss.engines.devices.gpu.printing.blocks import Printer, shape
from schuss.engines.devices.gpu.printing.elements import indented
from schuss.engines.devices.layout import Pass
from schuss.engines.devices.tables.tiles import WORDS
from schuss.engines.program import names
from schuss.engines.program.operations import Form
from schuss.engines.program.program import Place

_ELEMENTS = '''

@triton.jit
def {name}_tile(
    {given}tensor, width, height, matrices, first_matrix, many, first_line, lines,
    first_column, columns, strip, band, entry, addresses, arguments, partials, totals, entries, tensors,
    MATRICES: tl.constexpr, LINES: tl.constexpr, COLUMNS: tl.constexpr, EVEN: tl.constexpr,
):
    """Go through a tile, with EVEN of lines aligned to 16 bytes, of multiples of 8 numbers."""
    one = tl.full([], 1.0, REAL)
    m = tl.arange(0, MATRICES)[:, None, None]
    r = tl.arange(0, LINES)[None, :, None]
    c = tl.arange(0, COLUMNS)[None, None, :]
    high, wide, across = height.to(tl.int32), width.to(tl.int32), columns.to(tl.int32)
    if EVEN:  # so that 8 neighbours are present or not
        wide, across = tl.multiple_of(wide, 8), tl.multiple_of(across, 8)
    element = (m * high + r) * wide + c
{head}
    for begin in range(0, many, MATRICES):
        is_matrix = m < many - begin
        is_column = is_matrix & (c < across)
        matrix = first_matrix + begin
        of_column, column = matrix * width + first_column, m * wide + c
{columns}
        for at in range(0, lines, LINES):
            is_row = is_matrix & (r < lines - at)
            present = is_row & (c < across)
            of_row, row = matrix * height + first_line + at, m * high + r
            first = of_row * width + first_column
{elements}
{joined}
{tail}


@kernel
def {name}(
    table, shapes, addresses, upload, begin, words, skip, partials, totals,
    first_entry, entries, tensors,
    MATRICES: tl.constexpr, LINES: tl.constexpr, COLUMNS: tl.constexpr, SEVERAL: tl.constexpr,
):
    """{does}"""
    entry = first_entry + tl.program_id(0)
    tile = table + {words} * entry
{tile}
    many, lines = (end_matrix - first_matrix).to(tl.int32), (end_line - first_line).to(tl.int32)
{shape}
    arguments = arguments_of(upload, begin, words, tensors, tensor, SEVERAL)
    if is_stepped(upload, begin, words, tensor, skip):
{bases}
        if (columns % 8 == 0) & (width % 8 == 0) & (({aligned}) % 16 == 0):
            {name}_tile({given}tensor, width, height, matrices, first_matrix, many, first_line, lines, first_column, columns, strip, band, entry, addresses, arguments, partials, totals, entries, tensors, MATRICES, LINES, COLUMNS, True)
        else:
            {name}_tile({given}tensor, width, height, matrices, first_matrix, many, first_line, lines, first_column, columns, strip, band, entry, addresses, arguments, partials, totals, entries, tensors, MATRICES, LINES, COLUMNS, False)
'''  # noqa: E501  # the lines of a kernel


class Elements(Printer):
    """Prints a function that goes through the elements, tile by tile."""

    def block(self) -> str:
        """Print the shape of a block."""
        return "[MATRICES, LINES, COLUMNS]"

    def printed(self, about: Pass) -> str:
        """Print the function."""
        statements, columns = self.statements, [*map(self.layout.column, self.places())]
        matrices = [self.loaded(v, "matrix", "m", "is_matrix") for v in self.mine(Form.MATRIX)]
        matrices += [
            self.loaded(v, "of_column", "column", "is_column") for v in self.mine(Form.COLUMN)
        ]
        given = [*map(names.place, columns)]
        pairs = zip(given, columns, strict=True)
        bases = [f"{name} = {statements.address(column)}" for name, column in pairs]
        tile = [f"{name} = tl.load(tile + {index})" for index, name in enumerate(WORDS)]
        return _ELEMENTS.format(
            name=about.name,
            does=about.does,
            words=len(WORDS),
            given="".join(f"{name}, " for name in given),
            aligned=" | ".join(given),
            tile=indented(1, tile),
            shape=indented(1, shape(3)),
            bases=indented(2, bases),
            head=indented(1, self.head()),
            columns=indented(2, matrices + self.started(Form.COLUMN)),
            elements=indented(3, self._elements()),
            joined=indented(2, map(self._of_columns, self.reduced(Form.COLUMN))),
            tail=indented(1, self.tail()),
        )

    def _elements(self) -> list[str]:
        lines = [self.loaded(v, "of_row", "row", "is_row") for v in self.mine(Form.ROW)]
        lines += map(self._computed, self.mine(Form.ELEMENT))
        lines += self.started(Form.ROW)
        for form in (Form.TENSOR, Form.COLUMN, Form.ROW):
            lines += self.accumulated(form)
        lines += [
            f"store({names.slot(v, partials=True)} + 8 * (strip * matrices * height + of_row), "
            f"row, is_row, {self.joined(v, 2)}, tl.float64)"
            for v in self.reduced(Form.ROW)
        ]
        for place, value in self.function.outputs:
            number, kind = self.statements.operand("store", 0, value), self.statements.kind(place)
            lines.append(f"store({self._at(place)}, present, {number}, {kind}, EVEN)")
        return lines

    def _of_columns(self, value: int) -> str:
        base = f"{names.slot(value, partials=True)} + 8 * (band * matrices * width + of_column)"
        return f"store({base}, column, is_column, {self.joined(value, 1)}, tl.float64)"

    def _computed(self, value: int) -> str:
        if self.statements.program.node(value) is not None:
            return self.statements.computed(value, self.block(), "first + element")
        place = self.statements.program.inputs[value]
        kind = self.statements.kind(place)
        return f"{names.value(value)} = load({self._at(place)}, present, {kind}, REAL, EVEN)"

    def _at(self, place: Place) -> str:
        base = names.place(self.layout.column(place))
        return f"{base} + {self.statements.size(place)} * first, element"
