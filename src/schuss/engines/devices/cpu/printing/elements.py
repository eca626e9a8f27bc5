"""Prints the functions that go through chunks, number by number."""

from __future__ import annotations

from collections.abc import Sequence

from schuss.engines.devices.cpu.printing.coded import Coded
from schuss.engines.devices.cpu.printing.loops import Loops
from schuss.engines.devices.cpu.printing.statements import Statements
from schuss.engines.devices.cpu.printing.text import indented, job
from schuss.engines.program import names
from schuss.engines.program.program import Place
from schuss.engines.program.schedule import Function

_CHUNKS = """\
entry = taken(job, grain)
while entry < entries:
    for entry in range(entry, entry + grain if entry + grain < entries else entries):
        tensor = load_int64(table, 3 * entry)
        first = load_int64(table, 3 * entry + 1)
        count = load_int64(table, 3 * entry + 2)
"""


def body(statements: Statements, function: Function) -> list[str]:
    """Print the body of a function that goes through chunks."""
    values = statements.program.values
    whole = [v for v in function.needed if values[v].per_tensor]
    sinks = function.reductions
    lines = [statements.whole(v) for v in whole]
    lines += [statements.started(v) for v in sinks]
    lines += _loops(statements, function)
    lines += [
        f"store_float64(partials, {names.of_entry(index)}, {names.partial(v)})"
        for index, v in enumerate(sinks)
    ]
    lines = [*statements.arguments(function.needed, statements.layout.totals), *lines]
    lines = [
        *job(shapes=False),
        *_CHUNKS.splitlines(),
        f"        {statements.skip()}",
        *indented(3, lines),
    ]
    return [*lines, "    entry = taken(job, grain)"]


def _loops(statements: Statements, function: Function) -> list[str]:
    """Print the loop over the elements of a chunk, or over its portions and their elements."""
    values, layout = statements.program.values, statements.layout
    single = [v for v in function.needed if not values[v].per_tensor]
    inputs = statements.program.inputs
    read = [inputs[v] for v in single if v < len(inputs)]
    written = [place for place, _ in function.outputs]
    coded, loops = Coded(statements, function), Loops(statements, function)
    used = [place for place in layout.columns if place in {*read, *written}]
    bases = [_base(statements, place) for place in used if place not in coded.places]
    if not coded.places:
        return [*bases, *loops.whole()]
    return [
        *coded.rooms(),
        *coded.bases(),
        *loops.rooms(),
        "begin, end = first, first + count",
        "for first in range(begin, end, PORTION):",
        "    count = PORTION if first + PORTION < end else end - first",
        *indented(1, [*bases, *coded.opened("first"), *loops.all(), *coded.closed()]),
    ]


def closing(statements: Statements, outputs: Sequence[tuple[Place, int]]) -> list[str]:
    """Print the body of the function that stores what there is one number of for each tensor.

    Args:
        statements: Prints its statements.
        outputs: Places, and what goes there.
    """
    needed = statements.program.needed([value for _, value in outputs], statements.layout.totals)
    shape = statements.shape(needed)
    lines = statements.arguments(needed, statements.layout.totals)
    lines += [*shape, *map(statements.whole, needed)]
    for place, _ in outputs:
        column = statements.layout.column(place)
        lines.append(f"{names.place(column)} = {statements.address(column)}")
    lines += [statements.stored(place, value, "0") for place, value in outputs]
    head = [*job(shapes=bool(shape)), "for tensor in range(tensors):", f"    {statements.skip()}"]
    return [*head, *indented(2, lines)]


def _base(statements: Statements, place: Place) -> str:
    column = statements.layout.column(place)
    offset = f"{statements.size(place)} * first"
    return f"{names.place(column)} = {statements.address(column)} + {offset}"
