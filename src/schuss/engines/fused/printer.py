"""Prints a program as the Python of its kernel, for Numba to compile.

A kernel is one function for each pass over the elements, and one for what is left to do for each
tensor when they are through. It takes the address of a job, whose numbers are those of `JOB`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schuss.engines.fused.storage import LOADED, Storage
from schuss.engines.tracing.primitives import (
    DRAWS,
    PRIMITIVES,
    REDUCTIONS,
    Reduction,
    takes_predicate,
)
from schuss.engines.tracing.program import COUNT, Place, Program

JOB = (
    "next_row",  # that no thread has taken yet
    "grain",  # how many rows a thread takes at once
    "rows",
    "table",  # address of int64: for each row a tensor, its first number, how many of them
    "tensors",
    "addresses",  # address of int64: for each place, where the numbers of each tensor begin
    "arguments",  # address of float64
    "totals",  # address of float64: for each reduction, its value for each tensor
    "parts",  # address of float64: for each reduction of a pass, its value for each row
)

_MODULE = '''\
"""{title}"""

import math

import numba
from numpy import {real} as real, float64 as double, int64

from schuss.engines.fused.numbers import *

zero, half, one = real(0), real(0.5), real(1)
'''

_FUNCTION = '''

@numba.cfunc("void(int64)", error_model="numpy", fastmath={{"contract"}})
def {name}(job):
    """{does}"""
{body}
'''

_ROWS = """\
row = taken(job, grain)
while row < rows:
    for row in range(row, row + grain if row + grain < rows else rows):
        tensor = load_int64(table, 3 * row)
        first = load_int64(table, 3 * row + 1)
        count = load_int64(table, 3 * row + 2)
"""


class KernelSource(NamedTuple):
    """The text of a kernel, and how to launch it.

    Attributes:
        text: A module.
        passes: Names of the functions that go through the elements, in order.
        closing: Name of the function that comes last, with one row for each tensor, or None.
        reductions: For each pass, the reductions that it makes parts of.
        columns: Places, in the order of the addresses.
    """

    text: str
    passes: tuple[str, ...]
    closing: str | None
    reductions: tuple[tuple[str, ...], ...]
    columns: tuple[Place, ...]


def kernel_source(title: str, program: Program, storage: Storage) -> KernelSource:
    """Return the source of the kernel of a program.

    Args:
        title: What the kernel is of.
        program: The program.
        storage: How the numbers are kept.
    """
    printer = _Printer(program, storage)
    text = _MODULE.format(title=title, real=storage.real)
    names, made = [], []
    for number in range(program.passes):
        last = number == program.passes - 1
        sinks = program.reduced_in(number)
        outputs = [o for o in program.outputs if last and not o[0].per_tensor]
        if sinks or outputs:
            names.append(f"pass_{number}")
            made.append(tuple(printer.operation(sink) for sink in sinks))
            text += printer.function(number, sinks, outputs)
    closing = [output for output in program.outputs if output[0].per_tensor]
    if closing:
        text += printer.closing(closing)
    return KernelSource(
        text, tuple(names), "closing" if closing else None, tuple(made), tuple(printer.columns)
    )


class _Printer:
    """Prints functions of one program."""

    def __init__(self, program: Program, storage: Storage) -> None:
        self.program = program
        self.real = storage.real
        reductions = [n for number in range(program.passes) for n in program.reduced_in(number)]
        self.totals = {number: index for index, number in enumerate(reductions)}
        written = [place for place, _ in program.outputs if place not in program.inputs]
        self.columns = [*program.inputs, *written]
        self.kinds = dict(storage.kinds)
        for place in written:
            self.kinds[place.name] = storage.real if place.per_tensor else storage.kept

    def function(self, number: int, sinks: list[int], outputs: list[tuple[Place, int]]) -> str:
        """Print the pass with this number over the elements.

        Args:
            number: Of the pass.
            sinks: Reductions that it makes parts of.
            outputs: Places of elements that it writes, and what.
        """
        program = self.program
        given = {v for v in self.totals if program.values[v].after <= number}
        operands = [program.operands(sink)[0] for sink in sinks]
        needed = program.needed_in(number)
        whole = [v for v in needed if program.values[v].per_tensor]
        single = [v for v in needed if not program.values[v].per_tensor]
        inputs = {program.inputs[v] for v in single if v < len(program.inputs)}
        bases = inputs | {place for place, _ in outputs}
        loop = [*map(self.statement, single)]
        loop += [self._accumulated(s, o) for s, o in zip(sinks, operands, strict=True)]
        loop += [self._stored(place, value, "i") for place, value in outputs]
        row = [self._base(place) for place in self.columns if place in bases]
        row += [self._total(v) if v in given else self.statement(v) for v in whole]
        row += [f"part_{sink} = {self._reduction(sink).start}" for sink in sinks]
        row += ["for i in range(count):", *_indented(1, loop)]
        row += [
            f"store_float64(parts, {index} * rows + row, part_{sink})"
            for index, sink in enumerate(sinks)
        ]
        body = [*_job(), *self._arguments(needed, given), *_ROWS.splitlines(), *_indented(2, row)]
        body += ["    row = taken(job, grain)"]
        does = "Step the parameters" if outputs else "Make parts of the reductions"
        return _FUNCTION.format(name=f"pass_{number}", does=f"{does}.", body=_lines(body))

    def closing(self, outputs: list[tuple[Place, int]]) -> str:
        """Print the function that stores what there is one number of for each tensor."""
        needed = self.program.needed([value for _, value in outputs], self.totals)
        row = [self._total(v) if v in self.totals else self.statement(v) for v in needed]
        addresses = [self._base(place) for place, _ in outputs]
        row += [*addresses, *(self._stored(place, value, "0") for place, value in outputs)]
        body = [*_job(), *self._arguments(needed, self.totals)]
        body += ["for tensor in range(tensors):", *_indented(1, row)]
        return _FUNCTION.format(name="closing", does="End the step.", body=_lines(body))

    def statement(self, number: int) -> str:
        """Print how a value is read or computed."""
        node = self.program.node(number)
        if node is None:
            return f"v{number} = {self._loaded(self.program.inputs[number])}"
        operation, *operands = node
        if operation in DRAWS:
            seed = f"int64(load_float64(arguments, {~operands[0]}))"
            return f"v{number} = real({operation}({seed}, tensor, first + i))"
        if operation == "div" and operands[1] < 0:
            return f"v{number} = {self._operand('mul', 0, operands[0])} * r{~operands[1]}"
        texts = (self._operand(operation, place, o) for place, o in enumerate(operands))
        return f"v{number} = " + PRIMITIVES[operation].expression.format(*texts)

    def operation(self, number: int) -> str:
        """Return the name of the operation that makes a value, or nothing for an input."""
        node = self.program.node(number)
        return node[0] if node else ""

    def _operand(self, operation: str, position: int, operand: int) -> str:
        if operand < 0:
            return f"a{~operand}"
        truth = takes_predicate(operation, position)
        if truth == self.program.values[operand].predicate:
            return f"v{operand}"
        return f"(v{operand} != zero)" if truth else f"(one if v{operand} else zero)"

    def _arguments(self, needed: Iterable[int], given: Mapping[int, int] | set[int]) -> list[str]:
        """Print the loading of arguments; those that divide are inverted here, once."""
        used, divisors = set(), set()
        for operation, *operands in (
            self.program.node(v) or ("",) for v in needed if v not in given
        ):
            if operation in DRAWS:
                continue
            divides = operation == "div" and operands[1] < 0
            divisors |= {~operands[1]} if divides else set()
            used |= {~o for o in (operands[:1] if divides else operands) if o < 0}
        lines = [f"a{n} = real(load_float64(arguments, {n}))" for n in sorted(used)]
        return lines + [f"r{n} = real(1 / load_float64(arguments, {n}))" for n in sorted(divisors)]

    def _base(self, place: Place) -> str:
        column = self.columns.index(place)
        address = f"load_int64(addresses, {column} * tensors + tensor)"
        if place.per_tensor:
            return f"p{column} = {address}"
        return f"p{column} = {address} + size_of_{self.kinds[place.name]} * first"

    def _loaded(self, place: Place) -> str:
        column = self.columns.index(place)
        if place == COUNT:
            return f"real(load_int64(addresses, {column} * tensors + tensor))"
        base = (
            f"load_int64(addresses, {column} * tensors + tensor)"
            if place.per_tensor
            else f"p{column}"
        )
        index = "0" if place.per_tensor else "i"
        kind = self.kinds[place.name]
        loaded = f"load_{kind}({base}, {index})"
        return loaded if LOADED[kind] == self.real else f"real({loaded})"

    def _stored(self, place: Place, value: int, index: str) -> str:
        text = self._operand("store", 0, value)
        return f"store_{self.kinds[place.name]}(p{self.columns.index(place)}, {index}, {text})"

    def _total(self, number: int) -> str:
        return f"v{number} = real(load_float64(totals, {self.totals[number]} * tensors + tensor))"

    def _accumulated(self, sink: int, operand: int) -> str:
        value = f"double({self._operand('sum', 0, operand)})"
        return f"part_{sink} = " + self._reduction(sink).expression.format(f"part_{sink}", value)

    def _reduction(self, sink: int) -> Reduction:
        return REDUCTIONS[self.operation(sink)]


def _job() -> list[str]:
    return [f"{name} = load_int64(job, {index})" for index, name in enumerate(JOB) if index]


def _indented(depth: int, lines: Iterable[str]) -> list[str]:
    return ["    " * depth + line for line in lines]


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(_indented(1, lines))
