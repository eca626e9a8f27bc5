"""Every operation as Python that Numba compiles; `{0}` is the first operand.

`zero`, `half` and `one` are there, and the functions of `math`, `numbers` and `functions`.
Comparisons are written so that they are false for NaN, and the branch that is then taken lets it
through, as torch does.
"""

from __future__ import annotations

from typing import NamedTuple

from schuss.storage.halves import JOINS, LOWERS, ROUNDINGS, UPPERS


class Accumulation(NamedTuple):
    """How a reduction is computed, number by number.

    Attributes:
        start: Its value for no numbers, as source.
        more: It with one number more: `{0}` so far, `{1}` the number, both float64.
    """

    start: str
    more: str


EXPRESSIONS = {
    "abs": "abs({0})",
    "add": "{0} + {1}",
    "addcdiv": "{0} + {3} * {1} / {2}",
    "addcmul": "{0} + {3} * {1} * {2}",
    "add_scaled": "{0} + {2} * {1}",
    "atan2": "atan2({0}, {1})",
    "clamp_max": "{1} if {0} > {1} else {0}",
    "clamp_min": "{1} if {0} < {1} else {0}",
    "cube_root": "cube_root({0})",
    "div": "{0} / {1}",
    "eq": "{0} == {1}",
    "exp": "math.exp({0})",
    "full": "{1}",
    "ge": "{0} >= {1}",
    "gt": "{0} > {1}",
    "le": "{0} <= {1}",
    "lerp": "{0} + {2} * ({1} - {0}) if abs({2}) < half else {1} - ({1} - {0}) * (one - {2})",
    "log": "math.log({0})",
    "logical_and": "{0} and {1}",
    "logical_not": "not {0}",
    "logical_or": "{0} or {1}",
    "lt": "{0} < {1}",
    "maximum": "{0} if {0} > {1} or {0} != {0} else {1}",
    "minimum": "{0} if {0} < {1} or {0} != {0} else {1}",
    "mul": "{0} * {1}",
    "ne": "{0} != {1}",
    "neg": "-{0}",
    "pow": "{0} ** {1}",
    "reciprocal": "one / {0}",
    "rsqrt": "one / math.sqrt({0})",
    "sign": "one if {0} > zero else (-one if {0} < zero else zero)",
    "sqrt": "math.sqrt({0})",
    "square": "{0} * {0}",
    "stochastic": "stochastic({0}, {1}, {2}, {element})",
    "sub": "{0} - {1}",
    "tanh": "math.tanh({0})",
    "where": "{1} if {0} else {2}",
    **{name: name + "({0})" for name in (*LOWERS.values(), *UPPERS.values())},
    **{name: name + "({0}, {1})" for name in (*JOINS.values(), *ROUNDINGS.values())},
}

ACCUMULATIONS = {
    "amax": Accumulation("-math.inf", "larger({0}, {1})"),
    "amin": Accumulation("math.inf", "smaller({0}, {1})"),
    "sum": Accumulation("0.0", "accumulated({0}, {1})"),
}
