"""Prints a program as the Python of its kernel, for Numba to compile."""

from __future__ import annotations

from schuss.engines.fused.program import PRIMITIVES, Argument, Program, Value

_KERNEL = '''\
"""{title}"""

import math

import numba
from numpy import {real} as real

from schuss.engines.fused.memory import {real}_at

zero, half, one = real(0), real(0.5), real(1)


@numba.njit(
    "void(int64[:, ::1], float64[::1], int64, int64)",
    nogil=True,
    error_model="numpy",
    fastmath={{"contract"}},
    cache=True,
)
def kernel(table, arguments, first, last):
    """Run the rows from `first` to `last` of `table`: element counts and addresses."""
{arguments}
    for row in range(first, last):
        count = table[row, 0]
{places}
        for i in range(count):
{body}
'''


def places(program: Program) -> list[str]:
    """Return the places that a kernel reads or writes, in the order of the table's columns."""
    used = {o.number for node in program.nodes for o in node.operands if isinstance(o, Value)}
    used |= {value.number for _, value in program.outputs}
    read = [place for number, place in enumerate(program.inputs) if number in used]
    return [*read, *(place for place, _ in program.outputs if place not in read)]


def kernel_source(title: str, program: Program, real: str) -> str:
    """Return the source of a module with one function, `kernel(table, arguments, first, last)`.

    Args:
        title: What the kernel is of.
        program: The program.
        real: `float32` or `float64`.
    """
    columns = places(program)
    names = {place: _name(place, column) for column, place in enumerate(columns)}
    loads = [
        f"v{number} = {names[place]}[i]"
        for number, place in enumerate(program.inputs)
        if place in names
    ]
    steps = [
        f"v{number} = " + PRIMITIVES[node.operation].format(*node.operands)
        for number, node in enumerate(program.nodes, start=len(program.inputs))
    ]
    stores = [f"{names[place]}[i] = {value}" for place, value in program.outputs]
    numbers = sorted(
        {o.number for n in program.nodes for o in n.operands if isinstance(o, Argument)}
    )
    return _KERNEL.format(
        title=title,
        real=real,
        arguments=_lines(4, [f"a{n} = real(arguments[{n}])" for n in numbers]),
        places=_lines(
            8,
            [f"{names[p]} = {real}_at(table[row, {c}], count)" for c, p in enumerate(columns, 1)],
        ),
        body=_lines(12, [*loads, *steps, *stores]),
    )


def _name(place: str, column: int) -> str:
    """Return a variable's name for a place; a key of the state can be any text."""
    name = place.replace("state.", "state_", 1)
    return name if name.isidentifier() else f"place_{column}"


def _lines(indent: int, lines: list[str]) -> str:
    return "\n".join(" " * indent + line for line in lines)
