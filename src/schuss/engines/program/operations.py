"""Every operation that a program may contain, and what it is in torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import torch

from schuss.storage.halves import COMPARISONS, FUNCTIONS


class Form(IntEnum):
    """The things that a value is one number for, of a tensor as a batch of matrices.

    Bits tell whether each matrix, each of its rows, and each of its columns has numbers of its own.
    So what an operation makes of two forms is their bitwise or.
    """

    TENSOR = 0b000
    MATRIX = 0b100
    COLUMN = 0b101
    ROW = 0b110
    ELEMENT = 0b111


class Operation(NamedTuple):
    """An operation on single numbers; each device has an expression for it.

    Attributes:
        function: It on tensors, by torch.
        predicate: Its value is true or false; where a number is needed it is one or zero.
    """

    function: Callable[..., Any]
    predicate: bool = False


OPERATIONS: dict[str, Operation] = {
    "abs": Operation(torch.abs),
    "add": Operation(torch.add),
    "addcdiv": Operation(lambda x, y, z, a: x + a * y / z),
    "addcmul": Operation(lambda x, y, z, a: x + a * y * z),
    "add_scaled": Operation(lambda x, y, a: x + a * y),
    "atan2": Operation(torch.atan2),
    "clamp_max": Operation(torch.clamp_max),
    "clamp_min": Operation(torch.clamp_min),
    "cube_root": Operation(lambda x: x.pow(1 / 3)),
    "div": Operation(torch.div),
    "eq": Operation(torch.eq, predicate=True),
    "exp": Operation(torch.exp),
    "full": Operation(lambda x, y: torch.zeros_like(x) + y),
    "ge": Operation(torch.ge, predicate=True),
    "gt": Operation(torch.gt, predicate=True),
    "le": Operation(torch.le, predicate=True),
    "lerp": Operation(torch.lerp),
    "log": Operation(torch.log),
    "logical_and": Operation(torch.logical_and, predicate=True),
    "logical_not": Operation(torch.logical_not, predicate=True),
    "logical_or": Operation(torch.logical_or, predicate=True),
    "lt": Operation(torch.lt, predicate=True),
    "maximum": Operation(torch.maximum),
    "minimum": Operation(torch.minimum),
    "mul": Operation(torch.mul),
    "ne": Operation(torch.ne, predicate=True),
    "neg": Operation(torch.neg),
    "pow": Operation(torch.pow),
    "reciprocal": Operation(torch.reciprocal),
    "rsqrt": Operation(torch.rsqrt),
    "sign": Operation(torch.sign),
    "sqrt": Operation(torch.sqrt),
    "square": Operation(torch.square),
    "sub": Operation(torch.sub),
    "tanh": Operation(torch.tanh),
    "where": Operation(torch.where),
    **{name: Operation(function) for name, function in FUNCTIONS.items()},
    **{name: Operation(function, predicate=True) for name, function in COMPARISONS.items()},
}
"""An operation is added by a line above, its expression on each device (`devices`), and its torch
names (`torch_functions.TORCH_FUNCTIONS`)."""

POWERS: dict[float, str | None] = {
    1: None,
    2: "square",
    1 / 2: "sqrt",
    1 / 3: "cube_root",
    -1 / 2: "rsqrt",
    -1: "reciprocal",
}
"""Operations that are powers, by the exponent; the first power is the number itself."""

PREDICATES = frozenset(name for name, operation in OPERATIONS.items() if operation.predicate)


def takes_predicate(operation: str, position: int) -> bool:
    """Tell whether an operand of an operation is true or false, and not a number."""
    return operation.startswith("logical") or (operation == "where" and position == 0)


class Reduction(NamedTuple):
    """An operation that makes one number of all the numbers of a tensor.

    Attributes:
        empty: Its value for no numbers.
        join: Joins partial ones.
        function: It on a tensor, by torch.
    """

    empty: float
    join: np.ufunc
    function: Callable[..., Any]


REDUCTIONS: dict[str, Reduction] = {
    "amax": Reduction(-math.inf, np.maximum, torch.amax),
    "amin": Reduction(math.inf, np.minimum, torch.amin),
    "sum": Reduction(0.0, np.add, torch.sum),
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
