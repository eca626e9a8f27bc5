"""The hyper-parameters of an optimizer or a transform: symbol, default, domain, meaning."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

from docs.site.markdown import entries, sections
from schuss.declarations import arguments

_SYMBOL = re.compile(r"(?<![\w.])([α-ωΑ-Ω][₀-₉ᵢₑₓ∞⁺⁻]*|[A-Za-z])(?![\w.'])")
_ARTICLES = frozenset("aAI")


@dataclass(frozen=True)
class Hyperparameter:
    """One of them.

    Attributes:
        name: The argument.
        symbol: The letter of the equations; empty if it has none.
        default: The default, as it is written.
        meaning: The meaning and the domain, as a sentence.
    """

    name: str
    symbol: str
    default: str
    meaning: str


def hyperparameters(cls: type[Any]) -> list[Hyperparameter]:
    """Return the hyper-parameters of a class, and those of its bases that it has too.

    An optimizer or a transform declares them; those of a decay object are told in its docstring.
    """
    if cls.hypers:
        return [
            Hyperparameter(each.name, each.symbol, _written(each.default), each.explained)
            for each in arguments(cls)
            if not each.is_common
        ]
    said: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        said |= entries(sections(inspect.cleandoc(base.__doc__ or "")).get("Args", ""))
    return [
        Hyperparameter(
            name, _symbol(said.get(name, "")), _written(parameter.default), said.get(name, "")
        )
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and name not in ("params", "defaults")
    ]


def _symbol(meaning: str) -> str:
    found = [s for s in _SYMBOL.findall(meaning) if s not in _ARTICLES]
    return ", ".join(dict.fromkeys(found))


def _written(default: object) -> str:
    return "" if default is inspect.Parameter.empty else f"{default!r}"
