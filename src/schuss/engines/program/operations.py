"""Every operation that a program may contain, as kernel source and as torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import torch


class Form(IntEnum):
    """What there is one number of: a tensor is a batch of matrices, with rows and columns.

    Bits tell whether each matrix, each of its rows, and each of its columns has numbers of its own.
    So what an operation makes of two forms is their bitwise or.
    """

    TENSOR = 0b000
    MATRIX = 0b100
    COLUMN = 0b101
    ROW = 0b110
    ELEMENT = 0b111


class Primitive(NamedTuple):
    """An operation on single numbers.

    Attributes:
        expression: It as Python that a kernel compiler understands; `{0}` is the first operand.
            `zero`, `half`, `one` and the functions of `math` are defined there.
        function: The same on tensors.
    """

    expression: str
    function: Callable[..., Any]


PRIMITIVES: dict[str, Primitive] = {
    "abs": Primitive("abs({0})", torch.abs),
    "add": Primitive("{0} + {1}", torch.add),
    "addcdiv": Primitive("{0} + {3} * {1} / {2}", lambda x, y, z, a: x + a * y / z),
    "addcmul": Primitive("{0} + {3} * {1} * {2}", lambda x, y, z, a: x + a * y * z),
    "add_scaled": Primitive("{0} + {2} * {1}", lambda x, y, a: x + a * y),
    "atan2": Primitive("atan2({0}, {1})", torch.atan2),
    "clamp_max": Primitive("{1} if {0} > {1} else {0}", torch.clamp_max),
    "clamp_min": Primitive("{1} if {0} < {1} else {0}", torch.clamp_min),
    "cube_root": Primitive("cube_root({0})", lambda x: x.pow(1 / 3)),
    "div": Primitive("{0} / {1}", torch.div),
    "eq": Primitive("{0} == {1}", torch.eq),
    "exp": Primitive("math.exp({0})", torch.exp),
    "full": Primitive("{1}", lambda x, y: torch.zeros_like(x) + y),
    "ge": Primitive("{0} >= {1}", torch.ge),
    "gt": Primitive("{0} > {1}", torch.gt),
    "le": Primitive("{0} <= {1}", torch.le),
    "lerp": Primitive(
        "{0} + {2} * ({1} - {0}) if abs({2}) < half else {1} - ({1} - {0}) * (one - {2})",
        torch.lerp,
    ),
    "log": Primitive("math.log({0})", torch.log),
    "logical_and": Primitive("{0} and {1}", torch.logical_and),
    "logical_not": Primitive("not {0}", torch.logical_not),
    "logical_or": Primitive("{0} or {1}", torch.logical_or),
    "lt": Primitive("{0} < {1}", torch.lt),
    "maximum": Primitive("{0} if {0} > {1} or {0} != {0} else {1}", torch.maximum),
    "minimum": Primitive("{0} if {0} < {1} or {0} != {0} else {1}", torch.minimum),
    "mul": Primitive("{0} * {1}", torch.mul),
    "ne": Primitive("{0} != {1}", torch.ne),
    "neg": Primitive("-{0}", torch.neg),
    "pow": Primitive("{0} ** {1}", torch.pow),
    "reciprocal": Primitive("one / {0}", torch.reciprocal),
    "rounded_to_bfloat16": Primitive("rounded_to_bfloat16({0})", lambda x: x.bfloat16().float()),
    "rounded_to_float16": Primitive("rounded_to_float16({0})", lambda x: x.half().float()),
    "rsqrt": Primitive("one / math.sqrt({0})", torch.rsqrt),
    "sign": Primitive("one if {0} > zero else (-one if {0} < zero else zero)", torch.sign),
    "sqrt": Primitive("math.sqrt({0})", torch.sqrt),
    "square": Primitive("{0} * {0}", torch.square),
    "sub": Primitive("{0} - {1}", torch.sub),
    "tanh": Primitive("math.tanh({0})", torch.tanh),
    "where": Primitive("{1} if {0} else {2}", torch.where),
}
"""Adding an operation is adding its row, and its torch names to `operations.OPERATIONS`.

Comparisons are written so that they are false for NaN, and the branch that is then taken lets it
through, as torch does.
"""

POWERS: dict[float, str | None] = {
    1: None,
    2: "square",
    1 / 2: "sqrt",
    1 / 3: "cube_root",
    -1 / 2: "rsqrt",
    -1: "reciprocal",
}
"""Primitives that are powers, by the exponent; the first power is the number itself."""

PREDICATES = frozenset(
    {"eq", "ge", "gt", "le", "logical_and", "logical_not", "logical_or", "lt", "ne"}
)
"""Primitives whose value is true or false; where a number is needed it is one or zero."""


def takes_predicate(operation: str, position: int) -> bool:
    """Tell whether an operand of a primitive is true or false, and not a number."""
    return operation.startswith("logical") or (operation == "where" and position == 0)


class Reduction(NamedTuple):
    """An operation that makes one number of all the numbers of a tensor.

    Attributes:
        start: Its value for no numbers, as source.
        expression: It with one number more: `{0}` so far, `{1}` the number, both float64.
        empty: Its value for no numbers.
        join: Joins partial ones.
        function: The same on a tensor.
    """

    start: str
    expression: str
    empty: float
    join: np.ufunc
    function: Callable[..., Any]


REDUCTIONS: dict[str, Reduction] = {
    "amax": Reduction(
        "-math.inf",
        "larger({0}, {1})",
        -math.inf,
        np.maximum,
        torch.amax,
    ),
    "amin": Reduction("math.inf", "smaller({0}, {1})", math.inf, np.minimum, torch.amin),
    "sum": Reduction("0.0", "accumulated({0}, {1})", 0.0, np.add, torch.sum),
}

REDUCED: dict[str, tuple[str, Form]] = {
    **{name: (name, Form.TENSOR) for name in REDUCTIONS},
    **{
        f"{form.name.lower()}_{name}": (name, form)
        for name in REDUCTIONS
        for form in (Form.MATRIX, Form.COLUMN, Form.ROW)
    },
}
"""Reductions of whole tensors, and those that leave a number for each matrix, column or row."""

SPREADS = {f"{form.name.lower()}_spread": form for form in Form}
"""Operations that repeat a number, so that there is one for each matrix, column, row or element."""

SIZES = {
    "columns": 0b001,
    "rows": 0b010,
    "rows_by_columns": 0b011,
    "matrices": 0b100,
    "matrices_by_columns": 0b101,
    "matrices_by_rows": 0b110,
}
"""Operations that give a size of a tensor, or the product of two; the bits are those of `Form`."""

DRAWS = frozenset({"uniform", "normal"})
"""Operations that give every element a random number, from a seed."""
