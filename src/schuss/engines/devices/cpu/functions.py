"""Functions that a compiler can make of several numbers at once, in float32.

The C library takes one number at a time, which for these costs more than all else in a step. In
float64 its functions remain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numpy import float32, int32

_ARCTAN = tuple(
    map(
        float32,
        (
            0.9999999847669276,
            -0.3333307335050065,
            0.1999261946627148,
            -0.1420364492377926,
            0.10640935507324671,
            -0.07504297256942541,
            0.042691547596732306,
            -0.01606864458956304,
            0.0028498931642835933,
        ),
    )
)
"""Of the arcus tangent of t over t the polynomial in t² with the least largest relative error for t
between 0 and 1, 1.6e-8."""

_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8 = _ARCTAN
_ZERO, _ONE, _THIRD, _FOUR_THIRDS = map(float32, (0, 1, 1 / 3, 4 / 3))
_PI, _HALF_PI, _INFINITY, _NAN = map(float32, (math.pi, math.pi / 2, math.inf, math.nan))
_SMALL, _UP, _DOWN = map(float32, (2.0**-96, 2.0**48, 2.0**-16))
_INVERSE_ROOT = int32(0x54A21D2A)
"""Bits from which a third of those of a float32 are taken, for its inverse cube root to 3 %."""


def _cast(of: Any, to: Any, stored: Any) -> Any:
    @intrinsic
    def cast(typing_context: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], stored)

        return to(of), generate

    return cast


_bits = _cast(types.float32, types.int32, ir.IntType(32))
_from_bits = _cast(types.int32, types.float32, ir.FloatType())


def atan2(y: Any, x: Any) -> Any:
    """Return the angle of a point, between -π and π."""
    return math.atan2(y, x)


@overload(atan2, inline="always")
def _atan2(y: Any, x: Any) -> Callable[..., Any]:
    def in_lanes(y: Any, x: Any) -> Any:
        up, right = abs(y), abs(x)
        steep = up > right
        long = up if steep else right
        short = right if steep else up
        equal = _ONE if long > _ZERO else _ZERO  # also of infinity and infinity
        ratio = short / long if short != long else equal  # NaN, if one of both is
        s = ratio * ratio
        p = _C4 + s * (_C5 + s * (_C6 + s * (_C7 + s * _C8)))
        angle = ratio * (_C0 + s * (_C1 + s * (_C2 + s * (_C3 + s * p))))
        angle = _HALF_PI - angle if steep else angle
        angle = _PI - angle if math.copysign(_ONE, x) < _ZERO else angle
        return math.copysign(angle, y)

    return in_lanes if y == types.float32 else atan2


def cube_root(x: Any) -> Any:
    """Return the cube root of a number that is not negative, else NaN."""
    return x ** (1 / 3)


@overload(cube_root, inline="always")
def _cube_root(x: Any) -> Callable[..., Any]:
    def in_lanes(x: Any) -> Any:
        small = x < _SMALL  # whose squares are too small for numbers
        scaled = x * _UP if small else x
        # In lanes a division of whole numbers costs more than two conversions.
        inverse = _from_bits(_INVERSE_ROOT - int32(float32(_bits(scaled)) * _THIRD))
        third = scaled * _THIRD
        inverse = inverse * (_FOUR_THIRDS - (third * inverse) * (inverse * inverse))
        inverse = inverse * (_FOUR_THIRDS - (third * inverse) * (inverse * inverse))
        square = inverse * inverse
        root = scaled * square
        root = root + (scaled - root * root * root) * square * _THIRD
        root = root * _DOWN if small else root
        root = root if x < _INFINITY else x
        return root if x > _ZERO else (_ZERO if x == _ZERO else _NAN)

    return in_lanes if x == types.float32 else cube_root
