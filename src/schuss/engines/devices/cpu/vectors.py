"""Numbers by the vector, for codecs: as many as fill a block, written as LLVM's own vectors.

A compiler makes vectors of a loop if it sees that it may, and if the loop is long. The loops of a
codec are as long as a block, which is too short. A vector of LLVM is cut into as many registers as
the processor needs, and computes the same bits on all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
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

_ABSOLUTE, _SIGN = 0x7FFFFFFF, 0x80000000
_SHIFT = 1.5 * 2.0**23
"""Of a float32 near this number the last bit is worth 1, so that a sum with it rounds to the
nearest whole number, ties to even, and the low bits of the sum are that number."""


class Vectors:
    """Prints operations on vectors, and on what blocks have one of.

    Args:
        builder: Takes the instructions.
    """

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def load(self, base: Any, kind: Any, offset: int) -> Any:
        """Load a vector of some kind of number, `offset` bytes behind an address."""
        return self.builder.load(self._at(base, ir.VectorType(kind, LANES), offset), align=1)

    def store(self, base: Any, vector: Any, offset: int) -> None:
        """Store a vector."""
        self.builder.store(vector, self._at(base, vector.type, offset), align=1)

    def number(self, value: float) -> Any:
        """Return a vector of one number."""
        return ir.Constant(_NUMBERS, [value] * LANES)

    def whole(self, value: int) -> Any:
        """Return a vector of one whole number."""
        return ir.Constant(_LANES, [value] * LANES)

    def spread(self, number: Any) -> Any:
        """Return a vector of one number that is computed."""
        first = self.builder.insert_element(ir.Constant(_NUMBERS, None), number, _INT32(0))
        return self.builder.shuffle_vector(first, first, self.whole(0))

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
        """Return the whole numbers nearest to some numbers, as codes; 0 for NaN."""
        shifted = self.builder.fadd(self.or_zero(numbers), self.number(_SHIFT))
        return self.as_bytes(self.bits(shifted))

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
        """Return the smaller ones of two vectors without NaN."""
        return self.builder.select(self.builder.fcmp_ordered("<", numbers, others), numbers, others)

    def larger(self, numbers: Any, others: Any) -> Any:
        """Return the larger ones of two vectors without NaN."""
        return self.builder.select(self.builder.fcmp_ordered(">", numbers, others), numbers, others)

    def halves(self, codes: Any) -> tuple[Any, Any]:
        """Return the upper and the lower four bits of bytes, as whole numbers."""
        whole = self.widened(codes)
        return self.builder.lshr(whole, self.whole(4)), self.builder.and_(whole, self.whole(15))

    def joined(self, upper: Any, lower: Any) -> Any:
        """Return bytes of whole numbers for their upper and lower four bits."""
        return self.as_bytes(self.builder.or_(self.builder.shl(upper, self.whole(4)), lower))

    def alternating(self, first: Any, second: Any) -> list[Any]:
        """Return two vectors with the numbers of two others in turns."""
        order = [n // 2 + LANES * (n % 2) for n in range(2 * LANES)]
        return [self._picked(first, second, half) for half in (order[:LANES], order[LANES:])]

    def apart(self, first: Any, second: Any) -> list[Any]:
        """Return each second number of two vectors, from the first on and from the second on."""
        return [self._picked(first, second, range(begin, 2 * LANES, 2)) for begin in range(2)]

    def _picked(self, first: Any, second: Any, order: Sequence[int]) -> Any:
        return self.builder.shuffle_vector(first, second, ir.Constant(_LANES, list(order)))

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
        build = self.builder
        bits, *others = (build.and_(self.bits(each), self.whole(_ABSOLUTE)) for each in several)
        for other in others:
            bits = build.select(build.icmp_signed(">", other, bits), other, bits)
        kind = ir.FunctionType(_INT32, [_LANES])
        largest = self._called(f"llvm.vector.reduce.smax.v{LANES}i32", kind, bits)
        return self.builder.bitcast(largest, _FLOAT)

    def _called(self, name: str, kind: Any, vector: Any) -> Any:
        """Return what a function of LLVM makes of a vector."""
        declared: Any = cgutils.get_or_insert_function
        function = declared(self.builder.module, kind, name)
        return self.builder.call(function, [vector])

    def _at(self, base: Any, kind: Any, offset: int) -> Any:
        address = self.builder.add(base, base.type(offset)) if offset else base
        return self.builder.inttoptr(address, kind.as_pointer())
