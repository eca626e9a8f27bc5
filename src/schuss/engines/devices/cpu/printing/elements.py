"""Prints the functions that go through chunks, number by number."""

from __future__ import annotations

from collections.abc import Sequence

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
    values, columns = statements.program.values, statements.layout.columns
    whole = [v for v in function.needed if values[v].per_tensor]
    single = [v for v in function.needed if not values[v].per_tensor]
    inputs = statements.program.inputs
    bases = {inputs[v] for v in single if v < len(inputs)}
    bases |= {place for place, _ in function.outputs}
    sinks = function.reductions
    loop = [statements.computed(value, "i") for value in single]
    loop += map(statements.joined, sinks)
    loop += [statements.stored(place, value, "i") for place, value in function.outputs]
    lines = [_base(statements, place) for place in columns if place in bases]
    lines += [statements.whole(v) for v in whole]
    lines += [statements.started(v) for v in sinks]
    lines += ["for i in range(count):", *indented(1, loop)]
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
    return (
        f"{names.place(column)} = {statements.address(column)} + {statements.size(place)} * first"
    )
