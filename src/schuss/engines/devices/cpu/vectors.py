"""Numbers by the vector, for codecs: as many as fill a block, written as LLVM's own vectors.

A compiler makes vectors of a loop if it sees that it may, and if the loop is long. The loops of a
codec are as long as a block, which is too short. A vector of LLVM is cut into as many registers as
the processor needs, and computes the same bits on all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from llvmlite import ir
from numba.core import cgutils

LANES = 32
"""How many numbers a vector has."""

_INT8, _INT32, _INT64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_FLOAT = ir.FloatType()
_LANES = ir.VectorType(_INT32, LANES)
_NUMBERS = ir.VectorType(_FLOAT, LANES)
_BYTES = ir.VectorType(_INT8, LANES)
_PAIRS = ir.VectorType(ir.IntType(16), LANES)

_ABSOLUTE, _SIGN = 0x7FFFFFFF, 0x80000000
_SHIFT = 1.5 * 2.0**23
"""Of a float32 near this number the last bit is worth 1, so that a sum with it rounds to the
nearest whole number, ties to even, and the low bits of the sum are that number."""


_HALF = LANES // 2
_EXCHANGES = (
    ([q + i + v * _HALF for q in range(0, _HALF, 4) for i in (0, 1) for v in (0, 1)], 2),
    ([q + i + v * _HALF for q in range(0, _HALF, 4) for v in (0, 1) for i in (0, 1)], 2),
    ([i + v * _HALF for v in (0, 1) for i in range(_HALF // 2)], 8),
    ([q + i + v * _HALF for v in (0, 1) for q in (0, 8) for i in range(4)], 4),
)
"""Which lanes of two vectors of 16 are taken, and how far behind them lie those to compare with."""


class Vectors:
    """Prints operations on vectors, and on what blocks have one of.

    Args:
        builder: Takes the instructions.
    """

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def load(self, base: Any, kind: Any, offset: int, lanes: int = LANES) -> Any:
        """Load a vector of some kind of number, `offset` bytes behind an address."""
        return self.builder.load(self._at(base, ir.VectorType(kind, lanes), offset), align=1)

    def store(self, base: Any, vector: Any, offset: int) -> None:
        """Store a vector."""
        self.builder.store(vector, self._at(base, vector.type, offset), align=1)

    def number(self, value: float) -> Any:
        """Return a vector of one number."""
        return ir.Constant(_NUMBERS, [value] * LANES)

    def whole(self, value: int) -> Any:
        """Return a vector of one whole number."""
        return ir.Constant(_LANES, [value] * LANES)

    def spread(self, number: Any, lanes: int = LANES) -> Any:
        """Return a vector of one number that is computed."""
        none = ir.Constant(ir.VectorType(_FLOAT, lanes), None)
        first = self.builder.insert_element(none, number, _INT32(0))
        everywhere = ir.Constant(ir.VectorType(_INT32, lanes), [0] * lanes)
        return self.builder.shuffle_vector(first, first, everywhere)

    def product(self, numbers: Any, others: Any) -> Any:
        """Return products that are rounded before anything is added to them.

        Numba allows the compiler to contract all instructions that have no flags. The flag here
        says nothing of products.
        """
        return self.builder.fmul(numbers, others, flags=("arcp",))

    def signed(self, codes: Any) -> Any:
        """Return codes with a sign as numbers."""
        return self.builder.sitofp(self.builder.sext(codes, _LANES), _NUMBERS)

    def unsigned(self, codes: Any) -> Any:
        """Return codes without a sign as numbers."""
        return self.builder.sitofp(self.widened(codes), _NUMBERS)

    def widened(self, codes: Any) -> Any:
        """Return codes without a sign as whole numbers."""
        return self.builder.zext(codes, _LANES)

    def nearest(self, numbers: Any) -> Any:
        """Return the whole numbers nearest to some numbers, none of them NaN, as codes."""
        return self.as_bytes(self.bits(self.builder.fadd(numbers, self.number(_SHIFT))))

    def or_zero(self, numbers: Any) -> Any:
        """Return numbers, with 0 in the place of NaN."""
        is_nan = self.builder.fcmp_unordered("uno", numbers, numbers)
        return self.builder.select(is_nan, self.number(0.0), numbers)

    def truncated(self, numbers: Any) -> Any:
        """Return numbers without what is behind the point, as whole numbers."""
        return self.builder.fptosi(numbers, _LANES)

    def as_numbers(self, whole: Any) -> Any:
        """Return whole numbers as float32."""
        return self.builder.sitofp(whole, _NUMBERS)

    def as_bytes(self, whole: Any) -> Any:
        """Return the lowest bytes of whole numbers."""
        return self.builder.trunc(whole, _BYTES)

    def smaller(self, numbers: Any, others: Any) -> Any:
        """Return the smaller ones of two vectors; the other where the first one has NaN."""
        return self.builder.select(self.builder.fcmp_ordered("<", numbers, others), numbers, others)

    def larger(self, numbers: Any, others: Any) -> Any:
        """Return the larger ones of two vectors; the other where the first one has NaN."""
        return self.builder.select(self.builder.fcmp_ordered(">", numbers, others), numbers, others)

    def halves(self, codes: Any) -> list[Any]:
        """Return the upper and the lower four bits of bytes in turns, as two vectors."""
        four, low = (ir.Constant(_BYTES, [value] * LANES) for value in (4, 15))
        pair = self.builder.lshr(codes, four), self.builder.and_(codes, low)
        order = [n // 2 + LANES * (n % 2) for n in range(2 * LANES)]
        return [self.widened(self._picked(*pair, half)) for half in (order[:LANES], order[LANES:])]

    def joined(self, first: Any, second: Any) -> Any:
        """Return bytes of whole numbers, the upper and the lower four bits of each in turns."""
        build = self.builder
        every = self._picked(self.as_bytes(first), self.as_bytes(second), range(2 * LANES))
        pairs = build.bitcast(every, _PAIRS)
        upper, lower = (ir.Constant(_PAIRS, [bits] * LANES) for bits in (4, 8))
        return build.trunc(build.or_(build.shl(pairs, upper), build.lshr(pairs, lower)), _BYTES)

    def on_both_sides(self, steps: Any, shares: Any, zero: int) -> Any:
        """Return codes that lie some steps above the code of 0, or below it for negative shares.

        There is one step less below it, so steps are counted downwards: 128 is not a signed byte.
        """
        build = self.builder
        sign = build.and_(build.not_(self.bits(shares)), self.whole(_SIGN))
        below = self.truncated(self.from_bits(build.or_(self.bits(steps), sign)))
        least, most = self.whole(-128), self.whole(127)
        below = build.select(build.icmp_signed(">", below, least), below, least)
        below = build.select(build.icmp_signed("<", below, most), below, most)
        return build.sub(ir.Constant(_BYTES, [zero] * LANES), self.as_bytes(below))

    def _picked(self, first: Any, second: Any, order: Sequence[int]) -> Any:
        return self.builder.shuffle_vector(
            first, second, ir.Constant(ir.VectorType(_INT32, len(order)), list(order))
        )

    def look_up(self, name: str, table: Sequence[float], codes: Any, numbers: Any) -> None:
        """Store the numbers of a table at some codes, one by one: as whole numbers of their bits.

        An instruction that gathers several of them took half as long again where it was measured.

        Args:
            name: Of the table in machine code.
            table: The table.
            codes: The address of the codes.
            numbers: The address for the numbers.
        """
        build, module = self.builder, self.builder.module
        kind = ir.ArrayType(_FLOAT, len(table))
        constant = module.globals.get(name)
        if constant is None:
            constant = ir.GlobalVariable(module, kind, name)
            constant.initializer = ir.Constant(kind, list(table))
            constant.global_constant, constant.linkage = True, "internal"
        bits = build.bitcast(constant, _INT32.as_pointer())
        codes = build.inttoptr(codes, _INT8.as_pointer())
        numbers = build.inttoptr(numbers, _INT32.as_pointer())
        for lane in range(LANES):
            code = build.zext(build.load(build.gep(codes, [_INT32(lane)])), _INT64)
            build.store(build.load(build.gep(bits, [code])), build.gep(numbers, [_INT32(lane)]))

    def bits(self, numbers: Any) -> Any:
        """Return the bits of numbers."""
        return self.builder.bitcast(numbers, _LANES)

    def from_bits(self, bits: Any) -> Any:
        """Return the numbers of some bits."""
        return self.builder.bitcast(bits, _NUMBERS)

    def absolute(self, numbers: Any) -> Any:
        """Return absolute values."""
        return self.from_bits(self.builder.and_(self.bits(numbers), self.whole(_ABSOLUTE)))

    def with_sign_of(self, numbers: Any, others: Any) -> Any:
        """Return numbers that are not negative with the signs of others."""
        sign = self.builder.and_(self.bits(others), self.whole(_SIGN))
        return self.from_bits(self.builder.or_(self.bits(numbers), sign))

    def root(self, numbers: Any) -> Any:
        """Return square roots."""
        kind = ir.FunctionType(_NUMBERS, [_NUMBERS])
        return self._called(f"llvm.sqrt.v{LANES}f32", kind, numbers)

    def largest(self, several: Sequence[Any]) -> Any:
        """Return the largest absolute value in some vectors, NaN if one is NaN.

        The bits of positive numbers are in the order of these, those of infinity and NaN behind
        them.
        """
        bits = reduce(self._larger_bits, self._absolute_bits(several))
        kind = ir.FunctionType(_INT32, [_LANES])
        largest = self._called(f"llvm.vector.reduce.smax.v{LANES}i32", kind, bits)
        return self.builder.bitcast(largest, _FLOAT)

    def largest_of_each(self, several: Sequence[Any]) -> Any:
        """Return a vector of the largest absolute value in each of 16 vectors.

        Two vectors become one that has half as many lanes for each of the two, until each has one
        lane. Most lanes are exchanged within quarters, which takes less than an exchange across a
        register.
        """
        bits = self._absolute_bits(several)
        found = [self._merged(each, each, range(_HALF), _HALF) for each in bits]
        for order, far in _EXCHANGES:
            pairs = zip(found[::2], found[1::2], strict=True)
            found = [self._merged(*pair, order, far) for pair in pairs]
        return self.builder.bitcast(found[0], ir.VectorType(_FLOAT, _HALF))

    def _absolute_bits(self, several: Sequence[Any]) -> list[Any]:
        return [self.builder.and_(self.bits(each), self.whole(_ABSOLUTE)) for each in several]

    def _merged(self, first: Any, second: Any, order: Sequence[int], far: int) -> Any:
        one, other = order, [lane + far for lane in order]
        return self._larger_bits(*(self._picked(first, second, at) for at in (one, other)))

    def _larger_bits(self, bits: Any, others: Any) -> Any:
        return self.builder.select(self.builder.icmp_signed(">", others, bits), others, bits)

    def _called(self, name: str, kind: Any, vector: Any) -> Any:
        """Return what a function of LLVM makes of a vector."""
        declared: Any = cgutils.get_or_insert_function
        function = declared(self.builder.module, kind, name)
        return self.builder.call(function, [vector])

    def _at(self, base: Any, kind: Any, offset: int) -> Any:
        address = self.builder.add(base, base.type(offset)) if offset else base
        return self.builder.inttoptr(address, kind.as_pointer())
