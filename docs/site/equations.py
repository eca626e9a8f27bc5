"""Equations of a page, taken apart, and the symbols that each one defines."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DISPLAY = re.compile(r"^\$\$\n(.*?)\n\$\$$", re.MULTILINE | re.DOTALL)
_ENVIRONMENT = re.compile(r"\\(begin|end)\{\w+\}")
_DEFINES = re.compile(r"&?(?:=|\\leftarrow|\\approx)")
_SYMBOL = re.compile(
    r"""^(?:.*\\quad\b)?\s*&?\s*
    (?:\\(?P<accent>hat|bar|tilde)\s*)?
    (?:\\(?P<greek>[a-z]+)|(?P<letter>[A-Za-z]))\s*
    (?:\^\{?\\?(?P<above>[a-z]+)\}?)?
    (?:_(?P<below>\{[^}]*\}|\\?\w+))?
    (?P<square>\^2)?
    (?:\([a-z]\))?$""",
    re.VERBOSE | re.IGNORECASE,
)
_REFERS = re.compile(r"=\s*\\text\{")
_NAMES = {
    "theta": {"param"},
    "u": {"u", "update"},
    "g": {"grad"},
    "gamma": {"lr"},
    "d": {"d", "decay"},
    "h": {"h", "hessian"},
    "lambda": {"weight"},
    "nu": {"bound"},
    "c": {"c", "bound"},
    "mu": {"mu", "mean"},
    "r": {"r", "numerator"},
    "r_bar": {"distance"},
    "rho": {"rho", "surprise"},
    "y": {"y", "param"},
    "G": {"squares"},
    "S": {"deviation"},
    "B_tilde": {"b"},
    "beta": {"beta", "share"},
    "u_hat": {"u_hat", "u"},
    "u_bar": {"u_bar", "u"},
    "e_hat": {"uphill"},
    "g_perp": {"across"},
    "sigma_squared": {"variance"},
    "D": {"estimate"},
    "Delta": {"length"},
    "m_bar": {"ahead"},
    "phi": {"mask", "slow"},
    "theta_bar": {"ax", "ema"},
    "g_bar": {"mean"},
}
"""The words of the code for symbols whose letters it does not use."""


@dataclass(frozen=True)
class Equation:
    """One line of a display, and the names that the code may have for the symbols it defines.

    Attributes:
        latex: The line.
        names: The names of what it defines for every step.
        first: The names of what it defines the first value of.
    """

    latex: str
    names: frozenset[str]
    first: frozenset[str] = frozenset()

    @property
    def refers(self) -> bool:
        """Whether it only refers to the equation of another page: "Adam's", "that of"."""
        return bool(_REFERS.search(self.latex))


def displays(text: str) -> list[str]:
    """Return the displayed equations of a docstring, without the dollar signs."""
    return _DISPLAY.findall(text)


def lines_of(latex: str) -> list[str]:
    r"""Return the equations of a display: what `\\` or `\qquad` part outside of inner environments.

    Example:
        >>> lines_of(r"\begin{aligned} a &= 1, \qquad b = 2 \\ c &= 3 \end{aligned}")
        ['a &= 1', 'b = 2', 'c &= 3']
    """
    inner = re.sub(r"^\s*\\begin\{aligned\}|\\end\{aligned\}\s*$", "", latex)
    depth, start, lines = 0, 0, []
    for match in re.finditer(r"\\\\|\s*\\qquad|" + _ENVIRONMENT.pattern, inner):
        if match[1]:
            depth += 1 if match[1] == "begin" else -1
        elif depth == 0:
            lines.append(inner[start : match.start()])
            start = match.end()
    stripped = [line.strip().removesuffix(",") for line in [*lines, inner[start:]]]
    return [line for line in stripped if line]


def one_a_line(text: str) -> str:
    """Return a docstring whose displays have one equation a line, so that none is too wide."""
    return _DISPLAY.sub(lambda match: f"$$\n{_one_a_line(match[1])}\n$$", text)


def _one_a_line(latex: str) -> str:
    if r"\qquad" not in latex:
        return latex
    aligned = [
        line if "&" in line.partition(r"\begin")[0] else _DEFINES.sub(r"&\g<0>", line, count=1)
        for line in lines_of(latex)
    ]
    return "\\begin{aligned}\n" + " \\\\\n".join(aligned) + "\n\\end{aligned}"


def names_of(symbol: str, *, first: bool = False) -> set[str]:
    r"""Return the names that code may have for a symbol, as the pages of this library write them.

    Args:
        symbol: The symbol.
        first: Of the first value of a symbol, as $m_0$; else such a value has no names.

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
    below = (match["below"] or "").strip("{}")
    if below.isdigit() != first:
        return set()
    if match["accent"]:
        accented = f"{base}_{match['accent']}"
        return _NAMES.get(accented, {accented})
    if match["above"] and match["above"] != "t":
        return {f"{base}_{match['above']}"}
    if number := re.match(r"(\d),", below):
        return {f"{base}{number[1]}", f"{base}_{number[1]}"}
    if below == r"\infty":
        return {f"{base}_inf", f"{base}_infinity"}
    if below == r"\perp" or match["square"]:
        base += "_squared" if match["square"] else "_perp"
    return _NAMES.get(base, {base, base.lower()})


def defined_by(line: str, *, first: bool = False) -> frozenset[str]:
    """Return the names of all symbols that an equation defines, or gives a first value."""
    match = _DEFINES.search(line)
    symbols = re.split(r",(?![^{]*\})", line[: match.start()]) if match else []
    return frozenset(name for symbol in symbols for name in names_of(symbol, first=first))


def equations_of(text: str) -> list[Equation]:
    """Return the equations of a docstring, line by line."""
    return [
        Equation(
            line.replace("&", "", 1) if "cases" in line else line.replace("&", ""),
            defined_by(line),
            defined_by(line, first=True),
        )
        for display in displays(text)
        for line in lines_of(display)
    ]
