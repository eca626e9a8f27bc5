"""The pages of optimizers and transforms, in Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from docs.site import tables
from docs.site.engine import Examined, kind_of, without_paths
from docs.site.equations import Equation, one_a_line
from docs.site.hyperparameters import default_of, hyperparameters
from docs.site.markdown import code, container, details, table
from docs.site.source import Row, Source, equations_beside, functions_of, source_of
from docs.site.statements import entries_of
from schuss.declarations import Hyper

_RULES = {"update", "step_param"}
_FOUNDATIONS = ("schuss.optimizer", "schuss.transforms.transform")
"""Modules whose methods are those of every optimizer and transform, and no rule."""


def annotated(rows: Iterable[Row]) -> str:
    """Return rows, what they say on the left and the code on the right."""
    shown = []
    for row in rows:
        equations = "".join(f"\n$$\n{equation.latex}\n$$\n" for equation in row.equations)
        says = container("says", f"{row.says}\n{equations}", colons=4)
        does = container("does", code(row.code, first_line=row.first_line), colons=4)
        shown.append(container("row", says + "\n" + does, colons=5))
    return container("annotated", "\n".join(shown), colons=6)


def head(source: Source, name: str, summary: str) -> str:
    """Return the title, the idea and the paper."""
    idea = summary[:1].upper() + summary[1:]
    anchor = name.lower()
    return (
        f"---\nhide-toc: true\n---\n\n({anchor})=\n# {name}\n\n"
        + container("idea", f"{idea}.", colons=3)
        + (container("paper", source.paper, colons=3) if source.paper else "")
    )


def introduction(source: Source, cls: type[Any], found: Examined | None = None) -> str:
    """Return the equations and the prose on the left, their symbols on the right."""
    says = container("says", one_a_line(source.text), colons=4)
    symbols = [legend(cls), state_legend(cls, found) if found else ""]
    if not any(symbols):
        return says
    does = container("legend", "\n\n".join(symbols), colons=4)
    return container("introduction", says + "\n" + does, colons=5)


def legend(cls: type[Any]) -> str:
    """Return the table of the hyper-parameters: the symbol of each bound to its argument."""
    rows = [
        (
            re.sub(r"([^\s,_]+)(?:_(\w+))?", _with_index, each.symbol),
            f"`{each.name}` <small>{html.escape(default_of(each))}</small>",
            _sentence(each).replace("|", "\\|"),
        )
        for each in hyperparameters(cls)
    ]
    return table(("", "argument, default", "meaning, domain"), rows) if rows else ""


def _with_index(match: re.Match[str]) -> str:
    below = f"<sub>{match[2]}</sub>" if match[2] else ""
    return f"*{match[1]}*{below}"


def _sentence(declared: Hyper) -> str:
    meaning = declared.meaning[:1].upper() + declared.meaning[1:]
    allowed = f" <small>must {declared.domain.allowed}</small>" if declared.domain else ""
    return f"{meaning}.{allowed}"


def state_legend(cls: type[Any], found: Examined) -> str:
    """Return the table of the state: the symbol of each entry, and the bytes that it takes."""
    symbols: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("schuss."):
            for function in functions_of(
                source_of(base.__module__).classes[base.__name__]
            ).values():
                symbols |= entries_of(function)
    rows = [
        (_as_symbol(symbols.get(key, ""), key), f"`{key}`", f"{number:.2f}".rstrip("0").rstrip("."))
        for key, number in found.state.items()
    ]
    return table(("", "state", "bytes a number"), rows) if rows else ""


_SYMBOLS = {"slow": "φ", "ema": "θ̄", "ax": "θ̄", "x0": "θ₀", "p0": "θ₀", "start_param": "θ₀"}
"""The symbols of variables and entries that have other names in the code."""


def _as_symbol(variable: str, key: str) -> str:
    """Return a variable, or else the key of its entry, as the equations write it."""
    for name in (variable, key):
        if name in _SYMBOLS:
            return f"*{_SYMBOLS[name]}*"
        if match := re.fullmatch(r"([a-z])(\d?)", name):
            return f"*{match[1]}{match[2].translate(_BELOW)}*"
    return ""


_BELOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def facts(tiles: Sequence[tuple[str, str, str]]) -> str:
    """Return numbers with what they are of."""
    cells = "".join(
        f"<div><span>{html.escape(of)}</span><strong>{html.escape(number)}</strong>"
        f"<small>{html.escape(unit)}</small></div>"
        for of, number, unit in tiles
    )
    return f'<div class="facts">{cells}</div>\n'


def inherited(
    cls: type[Any], equations: Sequence[Equation]
) -> Iterator[tuple[type[Any], list[Row]]]:
    """Yield the rows of a rule that is that of a base, by base.

    Args:
        cls: The class.
        equations: Those of its page that it does not compute itself. They take the place of the
            base's equations for the same symbols.
    """
    taken = set(vars(cls))
    if taken & _RULES or not any(_is_rule(base) for base in cls.__mro__[1:]):
        return
    for base in cls.__mro__[1:]:
        if not _is_rule(base):
            continue
        source = source_of(base.__module__)
        own = set(functions_of(source.classes[base.__name__]))
        names = {name for name in own - taken if not name.startswith("_")} - {"check_group"}
        taken |= own
        if names:
            of_base = equations_beside(source, base.__name__)
            rest = [each for each in equations if each not in of_base and not each.refers]
            defined = {name for each in rest for name in each.names}
            shown = [each for each in of_base if not each.names & defined] + rest
            yield base, list(source.rows_of_methods(base.__name__, names, shown))


def _is_rule(base: type[Any]) -> bool:
    parts = ("optimizers.", "averaging", "distance", "curvature", "transforms.")
    module = base.__module__.removeprefix("schuss.")
    return base.__module__ not in _FOUNDATIONS and module.startswith(parts)


def generated(found: Examined, name: str) -> str:
    """Return the programs and the kernels, behind a click."""
    parts = []
    for cohort in found.cohorts:
        of = kind_of(cohort)
        passes = "one pass" if cohort.passes == 1 else f"{cohort.passes} passes"
        said = f"{cohort.engine} engine"
        if cohort.bytes_per_number is not None:
            said += f", {cohort.bytes_per_number} bytes a number in {passes}"
        parts.append(f"For {of} of {cohort.dtype}: {said}.".replace("torch.", ""))
        if cohort.program:
            program = code(cohort.program, language="text")
            parts.append(details(f"The program of {name} for {of}", program))
        if cohort.kernel:
            kernel = code(without_paths(cohort.kernel))
            lines = len(cohort.kernel.splitlines())
            parts.append(details(f"The kernel of {name} for {of}, {lines} lines", kernel))
    return "\n\n".join(parts)


def class_rows(cls: type[Any], link: Mapping[str, str]) -> str:
    """Return the code of a class with what is said of it, and the rule that it inherits."""
    source = source_of(cls.__module__)
    equations = equations_beside(source, cls.__name__)
    own = list(source.rows_of(cls.__name__, equations))
    computed = {each for row in own for each in row.equations}
    parts = [annotated(own)]
    if example := source.example_of(cls.__name__):
        parts.append(f"## Example\n\n{container('example', example, colons=3)}")
    for base, rows in inherited(cls, [each for each in equations if each not in computed]):
        page = link.get(base.__name__)
        of = f"[{base.__name__}]({page})" if page else f"`{base.__name__}`"
        where = base.__module__.replace(".", "/")
        title = f"## The rule, inherited from {base.__name__}\n\n"
        parts.append(f"{title}This part is that of {of}, in `{where}.py`.\n\n{annotated(rows)}")
    return "\n".join(parts)


def numbers_of(found: Examined, name: str) -> list[tuple[str, str, str]]:
    """Return what an optimizer keeps, moves and takes, as measured here and in the benchmarks."""
    tiles = [_state(found), *_moved(found, "a step moves")]
    times = [row["× AdamW"] for row in tables.timed().of(name)]
    tiles += [("a step takes", time, "× AdamW's, on ResNet-50") for time in times]
    accuracies = [row["test accuracy, %"].partition(" ")[0] for row in tables.trained().of(name)]
    return tiles + [("digits", f"{share} %", "of the test images") for share in accuracies]


def numbers_around(found: Examined) -> list[tuple[str, str, str]]:
    """Return what a transform keeps, and what a step of SGD moves with it."""
    return [_state(found), *_moved(found, "a step of SGD moves with it")]


def _state(found: Examined) -> tuple[str, str, str]:
    number = f"{found.state_bytes:.2f}".rstrip("0").rstrip(".")
    return "state", number, "bytes a number, float32"


def _moved(found: Examined, of: str) -> Iterator[tuple[str, str, str]]:
    cohort = found.cohorts[0]
    if cohort.bytes_per_number is not None:
        passes = "in one pass" if cohort.passes == 1 else f"in {cohort.passes} passes"
        yield of, str(cohort.bytes_per_number), f"bytes a number, {passes}"


def ledger_section(name: str) -> str:
    """Return what an optimizer was run against."""
    rows = tables.ledger().of(name)
    shown = ("run against", "options", "fused", "float32", "other defaults", "deviations")
    kept = [key for key in shown if any(row[key] for row in rows)]
    body = table(kept, ([row[key] for key in kept] for row in rows), right=(2, 3))
    return (
        "## Compared with\n\n"
        "A number is the largest distance between the parameters of both after any of "
        f"{rows[0]['steps']} steps, over the distance that they travelled: see "
        f"[the ledger](../ledger.md).\n\n{container('wide', body, colons=3)}"
    )


def trained_section(name: str, curve: str) -> str:
    """Return what an optimizer made of the digits."""
    (row,) = tables.trained().of(name)
    said = (
        f"With {row['hyper-parameters']} and the schedule {row['schedule']}: training loss "
        f"{_spread(row['training loss'])}, test accuracy {_spread(row['test accuracy, %'])} %. "
        "The pale lines are the other optimizers; [Trained](../trained.md) tells how."
    )
    return f"## On the digits\n\n{said}\n\n<figure>{curve}</figure>\n"


def _spread(cell: str) -> str:
    match = re.match(r"(\S+) \[(\S+) (\S+)\]", cell)
    return f"{match[1]} ({match[2]} to {match[3]})" if match else cell
