"""Prints the functions that go through the rows, columns or matrices of tensors.

A block has two dimensions: matrices, and the rows or columns of each.
"""

from __future__ import annotations

from schuss.engines.devices.gpu.printing.blocks import Printer, shape
from schuss.engines.devices.gpu.printing.elements import indented
from schuss.engines.devices.layout import Pass
from schuss.engines.program import names
from schuss.engines.program.operations import Form
from schuss.engines.program.program import Place
from schuss.engines.program.schedule import is_saved_when_reduced, of_elements

_SMALLER = '''

@kernel
def {name}(
    shapes, addresses, upload, begin, words, skip, partials, totals, entries, tensors,
    MATRICES: tl.constexpr, NUMBERS: tl.constexpr, JOINED: tl.constexpr, SEVERAL: tl.constexpr,
):
    """{does}"""
    tensor = tl.program_id(0).to(tl.int64)
    entry = (tensor * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(2) + tl.program_id(2)
    one = tl.full([], 1.0, REAL)
    m = tl.arange(0, MATRICES)[:, None]
    n = tl.arange(0, NUMBERS)[None, :]
    arguments = arguments_of(upload, begin, words, tensors, tensor, SEVERAL)
{shape}
    each = {size}
    if is_stepped(upload, begin, words, tensor, skip):
{head}
        for matrix in range(tl.program_id(1) * MATRICES, matrices, tl.num_programs(1) * MATRICES):
            is_matrix = m < matrices - matrix
{matrix}
            for at in range(tl.program_id(2) * NUMBERS, each, tl.num_programs(2) * NUMBERS):
                present = is_matrix & (n < each - at)
                first, i = matrix * each + at, m * each.to(tl.int32) + n
{numbers}
{joined}
{tail}
'''

_PARTIALS = {Form.ROW: "matrices * height, strips", Form.COLUMN: "matrices * width, bands"}
_SIZES = {Form.ROW: "height", Form.COLUMN: "width", Form.MATRIX: "tl.full([], 1, tl.int64)"}


class Smaller(Printer):
    """Prints a function that goes through matrices, or their rows or columns."""

    def block(self) -> str:
        """Print the shape of a block."""
        return "[MATRICES, NUMBERS]"

    def printed(self, about: Pass) -> str:
        """Print the function."""
        form = self.function.form
        bases = [
            f"{names.place(column)} = {self.statements.address(column)}"
            for column in map(self.layout.column, self.places())
        ]
        numbers = [*map(self._read, self.mine(form))]
        numbers += [*self.accumulated(Form.TENSOR), *self._outputs()]
        matrix = []
        if form is not Form.MATRIX:
            matrix = [self.loaded(v, "matrix", "m", "is_matrix") for v in self.mine(Form.MATRIX)]
            matrix += self.started(Form.MATRIX)
            numbers += self.accumulated(Form.MATRIX)
        size = self.statements.real_size
        joined = [
            f"store({names.slot(v, partials=False)} + {size} * matrix, m, is_matrix, "
            f"{self.joined(v, 1)}, REAL)"
            for v in self.reduced(Form.MATRIX)
        ]
        return _SMALLER.format(
            name=about.name,
            does=about.does,
            size=_SIZES[form],
            shape=indented(1, shape()),
            head=indented(2, bases + self.head()),
            matrix=indented(3, matrix),
            numbers=indented(4, numbers),
            joined=indented(3, joined),
            tail=indented(2, self.tail()),
        )

    def _read(self, value: int) -> str:
        """Print how a value of the function's form is joined, loaded or computed."""
        program = self.statements.program
        if program.is_reduction(value) and of_elements(program, value):
            name, apart = self.statements.reduction(value), _PARTIALS[self.function.form]
            base = f"{names.slot(value, partials=True)} + 8 * first"
            parts = f"joined_parts({base}, i, present, {apart}, {name}, JOINED)"
            return f"{names.value(value)} = {parts}.to(REAL)"
        if is_saved_when_reduced(program, value):
            return self.loaded(value, "first", "i", "present")
        if program.node(value) is not None:
            return self.statements.computed(value, self.block())
        place = program.inputs[value]
        at, kind = self._at(place), self.statements.kind(place)
        return f"{names.value(value)} = load({at}, i, present, {kind}, REAL)"

    def _at(self, place: Place) -> str:
        base = names.place(self.layout.column(place))
        return f"{base} + {self.statements.size(place)} * first"

    def _outputs(self) -> list[str]:
        size, number = self.statements.real_size, self.statements.operand
        lines = [
            f"store({names.slot(v, partials=False)} + {size} * first, i, present, "
            f"{number('store', 0, v)}, REAL)"
            for v in self.function.saved
        ]
        for place, value in self.function.outputs:
            kind = self.statements.kind(place)
            lines.append(
                f"store({self._at(place)}, i, present, {number('store', 0, value)}, {kind})"
            )
        return lines
