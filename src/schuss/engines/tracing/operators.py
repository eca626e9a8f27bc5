"""The operators of Python, and the methods of a stand-in that they call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

BINARY: Final = {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "pow": "pow"}
"""Operators that may also write in place, by their special methods without underscores."""

OTHERS: Final = {
    **{name: name for name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "abs")},
    "and": "logical_and",
    "or": "logical_or",
    "invert": "logical_not",
}
"""Comparisons, logical operators and those of one operand."""

_REFLECTED: Final = {"add": "add", "mul": "mul", "sub": "rsub", "truediv": "rdiv", "pow": "rpow"}
"""Operators whose second operand alone is a stand-in."""


def add_methods(
    cls: type,
    methods: Mapping[str, Callable[..., Any]],
    binary: Mapping[str, str] = BINARY,
    others: Mapping[str, str] = OTHERS,
) -> None:
    """Give a class the methods of tensors, and the operators that call them.

    Args:
        cls: The class of a stand-in.
        methods: The methods by name; those that write in place end with an underscore.
        binary: The methods of operators that may also write in place.
        others: The methods of the other operators.
    """
    for name, method in methods.items():
        setattr(cls, name, method)
    for special, name in {**binary, **others}.items():
        setattr(cls, f"__{special}__", methods[name])
    for special, name in binary.items():
        setattr(cls, f"__i{special}__", methods[f"{name}_"])
    for special, name in _REFLECTED.items():
        setattr(cls, f"__r{special}__", methods[name])
