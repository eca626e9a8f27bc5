"""The operations of `storage.halves` for kernels: on the bits of a float32, without a branch.

They are spelled with LLVM's integers of 32 bits, because Numba would widen these to 64, and half as
many would fit into a register.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from schuss.storage.halves import SHIFTS, keys, mixed

_INT32, _FLOAT = ir.IntType(32), ir.FloatType()
_NAN = _INT32(0x7FC00000)


def _rounded(builder: Any, bits: Any, digits: int) -> Any:
    """Return bits rounded to a multiple of a power of two, ties away from zero."""
    raised = builder.add(bits, _INT32(1 << digits - 1))
    return builder.and_(raised, _INT32(-(1 << digits)))


def _kept(builder: Any, number: Any, shift: int) -> Any:
    """Return the bits of a number, rounded to those that are kept."""
    bits = builder.bitcast(number, _INT32)
    kept = _rounded(builder, bits, shift) if shift else bits
    is_nan = builder.fcmp_unordered("uno", number, number)
    return builder.select(is_nan, _NAN, kept)


def _joined(shift: int) -> Any:
    @intrinsic
    def joined(typing_context: Any, half: Any, remainder: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            half, remainder = arguments
            bits = builder.bitcast(half, _INT32)
            more = builder.shl(builder.fptosi(remainder, _INT32), _INT32(shift))
            moved = builder.add(bits, more)
            stays = builder.icmp_signed(">=", builder.xor(moved, bits), _INT32(0))
            return builder.bitcast(builder.select(stays, moved, bits), _FLOAT)

        return types.float32(types.float32, types.float32), generate

    return joined


def _upper(shift: int) -> Any:
    @intrinsic
    def upper(typing_context: Any, number: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            bits = _kept(builder, arguments[0], shift)
            return builder.bitcast(_rounded(builder, bits, 16), _FLOAT)

        return types.float32(types.float32), generate

    return upper


def _lower(shift: int) -> Any:
    remainder = ir.IntType(16 - shift)

    @intrinsic
    def lower(typing_context: Any, number: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            bits = _kept(builder, arguments[0], shift)
            low = builder.trunc(builder.lshr(bits, _INT32(shift)), remainder)
            return builder.sitofp(low, _FLOAT)  # which the compiler leaves out if it is stored

        return types.float32(types.float32), generate

    return lower


for _kind, _shift in SHIFTS.items():
    globals()[f"join_{_kind}"] = _joined(_shift)
    globals()[f"upper_{_kind}"] = _upper(_shift)
    globals()[f"lower_{_kind}"] = _lower(_shift)


class _Word:
    """A word of 32 bits in LLVM, for the functions that compute with Python's and torch's."""

    def __init__(self, builder: Any, word: Any) -> None:
        self._builder, self._word = builder, word

    def _other(self, other: Any) -> Any:
        return other._word if isinstance(other, _Word) else _INT32(other)

    def _with(self, word: Any) -> _Word:
        return _Word(self._builder, word)

    @property
    def word(self) -> Any:
        """The word."""
        return self._word

    def __add__(self, other: Any) -> _Word:
        return self._with(self._builder.add(self._word, self._other(other)))

    def __mul__(self, other: int) -> _Word:
        return self._with(self._builder.mul(self._word, self._other(other)))

    def __xor__(self, other: Any) -> _Word:
        return self._with(self._builder.xor(self._word, self._other(other)))

    def __and__(self, other: int) -> _Word:
        return self  # a word is 32 bits anyway

    def __rshift__(self, count: int) -> _Word:
        return self._with(self._builder.lshr(self._word, _INT32(count)))


@intrinsic
def stochastic(typing_context: Any, number: Any, stream: Any, step: Any, element: Any) -> Any:
    """Return a number rounded to bfloat16 up or down at random."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number, stream, step, element = arguments
        words = (_Word(builder, builder.fptosi(x, _INT32)) for x in (stream, step))
        first, second = keys(*words)
        noise = mixed(_Word(builder, builder.trunc(element, _INT32)) + first, second) >> 16
        bits = builder.bitcast(number, _INT32)
        raised = builder.and_(builder.add(bits, noise.word), _INT32(-(1 << 16)))
        magnitude = builder.and_(bits, _INT32(0x7FFFFFFF))
        is_finite = builder.icmp_signed("<", magnitude, _INT32(0x7F800000))
        is_nan = builder.fcmp_unordered("uno", number, number)
        other = builder.select(is_nan, _NAN, bits)
        return builder.bitcast(builder.select(is_finite, raised, other), _FLOAT)

    return types.float32(types.float32, types.float32, types.float32, types.int64), generate
