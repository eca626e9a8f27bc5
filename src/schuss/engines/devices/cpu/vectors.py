"""Numbers by the vector, for codecs: as many as fill a block, written as LLVM's own vectors.

A compiler makes vectors of a loop if it sees that it may, and if the loop is long. The loops of a
codec are as long as a block, which is too short. A vector of LLVM is cut into as many registers as
the processor needs, and computes the same bits on all of them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

LANES = 32
"""How many numbers a vector has."""

_INT8, _INT16, _INT32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_FLOAT = ir.FloatType()
_LANES = ir.VectorType(_INT32, LANES)
_NUMBERS = ir.VectorType(_FLOAT, LANES)

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
        return self.builder.sitofp(self.builder.zext(codes, _LANES), _NUMBERS)

    def nearest(self, numbers: Any) -> Any:
        """Return the whole numbers nearest to some numbers, as codes; 0 for NaN."""
        build = self.builder
        is_nan = build.fcmp_unordered("uno", numbers, numbers)
        numbers = build.select(is_nan, self.number(0.0), numbers)
        bits = build.bitcast(build.fadd(numbers, self.number(_SHIFT)), _LANES)
        return build.trunc(bits, ir.VectorType(_INT8, LANES))

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

    def largest(self, numbers: Any) -> Any:
        """Return the largest absolute value, NaN if one is NaN.

        The bits of positive numbers are in the order of these, those of infinity and NaN behind
        them.
        """
        bits = self.builder.and_(self.bits(numbers), self.whole(_ABSOLUTE))
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
