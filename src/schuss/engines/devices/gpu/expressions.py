"""Every operation as Python that Triton compiles; `{0}` is the first operand.

`one` is there, the type `REAL`, and what `functions_compiled` has. Operands are blocks of numbers,
or single numbers, which Triton repeats. Comparisons are written so that they are false for NaN, and
the branch that is then taken lets it through, as torch does.
"""

from __future__ import annotations

from schuss.storage.halves import JOINS, LOWERS, ROUNDINGS, SHIFTS, UPPERS

TYPES = {
    "bfloat16": "tl.bfloat16",
    "float16": "tl.float16",
    "float32": "tl.float32",
    "float64": "tl.float64",
    "int8": "tl.int8",
    "int16": "tl.int16",
}
"""The type of numbers in memory, by their kind: Triton loads and stores these as they are."""

EXPRESSIONS = {
    "abs": "tl.abs({0})",
    "add": "{0} + {1}",
    "addcdiv": "{0} + divided({3} * {1}, {2})",
    "addcmul": "{0} + {3} * {1} * {2}",
    "add_scaled": "{0} + {2} * {1}",
    "atan2": "atan2({0}, {1})",
    "clamp_max": "tl.where({0} > {1}, {1}, {0})",
    "clamp_min": "tl.where({0} < {1}, {1}, {0})",
    "cube_root": "cube_root({0})",
    "div": "divided({0}, {1})",
    "eq": "{0} == {1}",
    "exp": "exp({0})",
    "full": "{1} + tl.zeros({shape}, REAL)",
    "ge": "{0} >= {1}",
    "gt": "{0} > {1}",
    "le": "{0} <= {1}",
    "lerp": "interpolated({0}, {1}, {2})",
    "log": "log({0})",
    "logical_and": "{0} & {1}",
    "logical_not": "{0} == 0",
    "logical_or": "{0} | {1}",
    "lt": "{0} < {1}",
    "maximum": "larger({0}, {1})",
    "minimum": "smaller({0}, {1})",
    "mul": "{0} * {1}",
    "ne": "{0} != {1}",
    "neg": "-{0}",
    "pow": "power({0}, {1})",
    "reciprocal": "divided(one, {0})",
    "rsqrt": "divided(one, root({0}))",
    "sign": "signed({0}, REAL)",
    "sqrt": "root({0})",
    "square": "{0} * {0}",
    "stochastic": "stochastic({0}, {1}, {2}, {element})",
    "sub": "{0} - {1}",
    "tanh": "tanh({0})",
    "where": "tl.where({0}, {1}, {2})",
    **{name: f"joined_bits({{0}}, {{1}}, {SHIFTS[kind]})" for kind, name in JOINS.items()},
    **{name: f"lower_bits({{0}}, {SHIFTS[kind]})" for kind, name in LOWERS.items()},
    **{name: f"upper_bits({{0}}, {SHIFTS[kind]})" for kind, name in UPPERS.items()},
    **{name: f"rounds_to({{0}}, {{1}}, {TYPES[kind]})" for kind, name in ROUNDINGS.items()},
}

OF_NUMBERS = {
    "cos": "cosine({0})",
    "float32": "{0}.to(tl.float32).to(REAL)",
    "remainder": "remainder({0}, {1})",
}
"""Operations that only programs of numbers have, see `tracing.unknowns`."""
