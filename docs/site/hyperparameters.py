"""The hyper-parameters of an optimizer or a transform: symbol, default, domain, meaning."""

from __future__ import annotations

from inspect import Parameter
from typing import Any

from schuss.declarations import Hyper, arguments


def hyperparameters(cls: type[Any]) -> list[Hyper]:
    """Return the declared arguments of a class but for those that all of its kind have."""
    return [each for each in arguments(cls) if not each.is_common]


def default_of(declared: Hyper) -> str:
    """Return the default as it is written; nothing if there is none."""
    return "" if declared.default is Parameter.empty else f"{declared.default!r}"
