"""Equations of a page, taken apart, and the symbols that each one defines."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DISPLAY = re.compile(r"^\$\$\n(.*?)\n\$\$$", re.MULTILINE | re.DOTALL)
_ENVIRONMENT = re.compile(r"\\(begin|end)\{\w+\}")
_DEFINES = re.compile(r"&?\s*(?:=|\\leftarrow|\\approx)")
_SYMBOL = re.compile(
    r"""^(?:\\text\{[^}]*\}\s*\\quad\s*)?&?\s*
    (?:\\(?P<accent>hat|bar|tilde)\s*)?
    (?:\\(?P<greek>[a-z]+)|(?P<letter>[A-Za-z]))\s*
    (?:\^\{?\\?(?P<above>[a-z]+)\}?)?
    (?:_(?P<below>\{[^}]*\}|\\?\w+))?
    (?:\([a-z]\))?$""",
    re.VERBOSE | re.IGNORECASE,
)
_NAMES = {
    "theta": {"param"},
    "u": {"u", "update"},
    "g": {"grad"},
    "gamma": {"lr"},
    "D": {"estimate"},
    "Delta": {"length"},
    "phi": {"mask", "slow"},
    "theta_bar": {"ax", "ema"},
    "g_bar": {"mean"},
}
"""The words of the code for symbols whose letters it does not use."""


@dataclass(frozen=True)
class Equation:
    """One line of a display, and the names that the code may have for the symbols it defines."""

    latex: str
    names: frozenset[str]


def displays(text: str) -> list[str]:
    """Return the displayed equations of a docstring, without the dollar signs."""
    return _DISPLAY.findall(text)


def lines_of(latex: str) -> list[str]:
    r"""Return the lines of a display: what `\\` parts outside of inner environments.

    Example:
        >>> lines_of(r"\begin{aligned} a &= 1 \\ b &= 2 \end{aligned}")
        ['a &= 1', 'b &= 2']
    """
    inner = re.sub(r"^\s*\\begin\{aligned\}|\\end\{aligned\}\s*$", "", latex)
    depth, start, lines = 0, 0, []
    for match in re.finditer(r"\\\\|" + _ENVIRONMENT.pattern, inner):
        if match[1]:
            depth += 1 if match[1] == "begin" else -1
        elif depth == 0:
            lines.append(inner[start : match.start()])
            start = match.end()
    return [line.strip() for line in [*lines, inner[start:]] if line.strip()]


def names_of(symbol: str) -> set[str]:
    r"""Return the names that code may have for a symbol, as the pages of this library write them.

    Example:
        >>> sorted(names_of(r"\hat m_t"))
        ['m_hat']
        >>> sorted(names_of("m_{1,t}"))
        ['m1', 'm_1']
    """
    match = _SYMBOL.match(symbol.strip())
    if not match:
        return set()
    base = match["greek"] or match["letter"]
    if match["accent"]:
        accented = f"{base}_{match['accent']}"
        return _NAMES.get(accented, {accented})
    if match["above"] and match["above"] != "t":
        return {f"{base}_{match['above']}"}
    below = (match["below"] or "").strip("{}")
    if number := re.match(r"(\d),", below):
        return {f"{base}{number[1]}", f"{base}_{number[1]}"}
    if below == r"\infty":
        return {f"{base}_inf", f"{base}_infinity"}
    return _NAMES.get(base, {base})


def defined_by(line: str) -> frozenset[str]:
    """Return the names of all symbols that a line defines."""
    names: set[str] = set()
    for part in re.split(r"\\qquad|,\s*\\quad", line):
        left, defines, _ = _cut(part)
        if defines:
            for symbol in re.split(r",(?![^{]*\})", left):
                names |= names_of(symbol)
    return frozenset(names)


def _cut(part: str) -> tuple[str, bool, str]:
    match = _DEFINES.search(part)
    if not match:
        return part, False, ""
    return part[: match.start()], True, part[match.end() :]


def equations_of(text: str) -> list[Equation]:
    """Return the equations of a docstring, line by line."""
    return [
        Equation(line.replace("&", "", 1) if "cases" in line else line.replace("&", ""), names)
        for display in displays(text)
        for line in lines_of(display)
        for names in [defined_by(line)]
    ]
