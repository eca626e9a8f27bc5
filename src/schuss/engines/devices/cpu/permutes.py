"""Tables in registers: instructions of AVX-512 that look up all lanes of a vector at once.

A table in memory is read number by number. These instructions have it in one register or two, and
the lowest bits of each lane of another one say which of its elements goes there.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.core.registry import cpu_target

from schuss.engines.devices.cpu.vectors import Vectors

WIDTH = 64
"""How many bytes a register has."""

_INT8, _INT16, _INT32, _FLOAT = (*map(ir.IntType, (8, 16, 32)), ir.FloatType())
_LANES = WIDTH // 4
_BYTES, _WORDS = ir.VectorType(_INT8, WIDTH), ir.VectorType(_INT16, WIDTH // 2)
_QUARTERS = 4
"""Parts of a register that some instructions take each for itself."""

_NAMES = {
    _FLOAT: ("permvar.sf", "vpermi2var.ps"),
    _INT32: ("permvar.si", "vpermi2var.d"),
    _INT8: ("permvar.qi", "vpermi2var.qi"),
}
"""Names of the instructions that look up in one register and in two, by kind of element."""


def _are_there() -> bool:
    """Return whether the processor that Numba compiles for has the instructions."""
    *_, features = cpu_target.target_context.codegen().magic_tuple()
    return "+avx512vbmi" in features.split(",")


ARE_THERE = _are_there()

_BITS_OF_FRACTION = 23
_CELLS = 32
"""How many whole numbers a table of two registers has."""


def numbers_at(build: Any, table: Sequence[float], indices: Any) -> Any:
    """Return the numbers of a table of 16 or 32 at indices that fill registers."""
    return _looked_up(build, _FLOAT, table, indices)


def reached(vectors: Vectors, sizes: Any, begins: Sequence[float], digits: int = 0) -> Any:
    """Return how many of some ascending positive numbers are reached by shares of 1.

    The upper bits of a float32, up to some binary digits, are the number of a cell, and a table has
    what brings the bits of a share in this cell to the count: with it the bits overflow into the
    upper ones where a number within the cell is reached. Bits below those of the first cell count
    as its beginning, and so do those of NaN and of negative numbers, which are negative here.

    Args:
        vectors: Prints operations.
        sizes: The shares.
        begins: The numbers, of which no two lie in one cell.
        digits: How many digits behind the first one are looked at.
    """
    build, shift = vectors.builder, _BITS_OF_FRACTION - digits
    cells = range(_bits_of(begins[0]) >> shift, (_bits_of(1.0) >> shift) + 1)
    behind = 2**31 - (_bits_of(2.0) >> shift << shift)
    table = [0] * _CELLS
    for cell in cells:
        low, high = (_number_of(bits << shift) for bits in (cell, cell + 1))
        count = sum(begin <= low for begin in begins)
        at = [_bits_of(begin) for begin in begins if low < begin < high] or [(cell + 1) << shift]
        table[(cell + (behind >> shift)) % _CELLS] = (count + 1 << shift) - at[0] - behind
    first = vectors.whole((cells[0] << shift) + behind)
    bits = build.add(vectors.bits(sizes), vectors.whole(behind))
    bits = build.select(build.icmp_signed(">", bits, first), bits, first)
    more = _looked_up(build, _INT32, table, build.lshr(bits, vectors.whole(shift)))
    return build.lshr(build.add(bits, more), vectors.whole(shift))


def of_codes(build: Any, table: Sequence[float], codes: Any) -> list[Any]:
    """Return the numbers of a table of 256 at the codes of a register, as four registers.

    Each of the four bytes of a number is looked up for itself, which takes two instructions and a
    choice, and the bytes are then joined. Joining goes on in each quarter of a register, so codes
    are brought into another order before it.
    """
    order = [
        16 * number + 4 * quarter + lane
        for quarter in range(_QUARTERS)
        for number in range(4)
        for lane in range(4)
    ]
    codes = _picked(build, codes, codes, order)
    planes = zip(*(struct.pack("<f", number) for number in table), strict=True)
    first, second, third, fourth = (_plane(build, plane, codes) for plane in planes)
    lower, upper = _interleaved(build, first, second), _interleaved(build, third, fourth)
    found = []
    for pair in zip(lower, upper, strict=True):
        words = (build.bitcast(each, _WORDS) for each in pair)
        found += _interleaved(build, *words)
    return [build.bitcast(each, ir.VectorType(_FLOAT, _LANES)) for each in found]


def _bits_of(number: float) -> int:
    return int(struct.unpack("<i", struct.pack("<f", number))[0])


def _number_of(bits: int) -> float:
    return float(struct.unpack("<f", struct.pack("<i", bits))[0])


def _plane(build: Any, table: Sequence[int], codes: Any) -> Any:
    """Return the bytes of a table of 256 at codes."""
    half = len(table) // 2
    lower, upper = (_looked_up(build, _INT8, part, codes) for part in (table[:half], table[half:]))
    is_upper = build.icmp_signed("<", codes, ir.Constant(_BYTES, [0] * WIDTH))
    return build.select(is_upper, upper, lower)


def _looked_up(build: Any, element: Any, table: Sequence[float], indices: Any) -> Any:
    lanes = WIDTH * 8 // _bits(element)
    kind = ir.VectorType(element, lanes)
    parts = [ir.Constant(kind, list(table[at : at + lanes])) for at in range(0, len(table), lanes)]
    name = _NAMES[element][len(parts) - 1]
    found = []
    for at in range(0, indices.type.count, lanes):
        piece = _picked(build, indices, indices, range(at, at + lanes))
        arguments = [parts[0], piece, *parts[1:]]
        signature = ir.FunctionType(kind, [argument.type for argument in arguments])
        declared: Any = cgutils.get_or_insert_function
        function = declared(build.module, signature, f"llvm.x86.avx512.{name}.512")
        found.append(build.call(function, arguments))
    while len(found) > 1:
        pairs = zip(found[::2], found[1::2], strict=True)
        found = [_picked(build, a, b, range(2 * a.type.count)) for a, b in pairs]
    return found[0]


def _bits(element: Any) -> int:
    return 32 if element == _FLOAT else int(element.width)


def _interleaved(build: Any, first: Any, second: Any) -> list[Any]:
    """Return the elements of two registers in turns: of lower halves of quarters, of upper ones."""
    count: int = first.type.count
    quarter = count // _QUARTERS
    found = []
    for half in range(2):
        begins = range(half * quarter // 2, count, quarter)
        taken = chain(*(range(begin, begin + quarter // 2) for begin in begins))
        order = list(chain(*((at, at + count) for at in taken)))
        found.append(_picked(build, first, second, order))
    return found


def _picked(build: Any, first: Any, second: Any, order: Sequence[int]) -> Any:
    kind = ir.VectorType(_INT32, len(order))
    return build.shuffle_vector(first, second, ir.Constant(kind, list(order)))
