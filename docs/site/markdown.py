"""Docstrings as Markdown, and what is inserted into Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Sequence

_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields|Example|Examples):$")
_ENTRY = re.compile(r"^(?:\*{0,2})([\w.]+): (.*)$", re.DOTALL)
_DOCTEST = re.compile(r"((?:^>>> .*\n?(?:^(?!>>> |\s*$).*\n?)*)+)", re.MULTILINE)


def sections(docstring: str) -> dict[str, str]:
    """Return the sections of a docstring in Google's style by title; what comes before has none.

    Example:
        >>> sections('''Do it.
        ...
        ... Args:
        ...     x: A number.''')
        {'': 'Do it.', 'Args': 'x: A number.'}
    """
    found: dict[str, list[str]] = {"": []}
    title = ""
    for line in docstring.splitlines():
        if match := _SECTION.match(line):
            title = match[1]
            continue
        if title and line and not line.startswith(" "):
            title = ""
        found.setdefault(title, []).append(line.removeprefix("    ") if title else line)
    return {title: "\n".join(lines).strip("\n") for title, lines in found.items()}


def entries(section: str) -> dict[str, str]:
    """Return what a section says of each name."""
    items = re.split(r"\n(?=\S)", section)
    matches = [_ENTRY.match(item) for item in items]
    return {m[1]: " ".join(m[2].split()) for m in matches if m}


def prose(docstring: str, *, without: Collection[str] = ()) -> str:
    """Return a docstring in Google's style as Markdown, without the sections of some titles."""
    parts = []
    for title, text in sections(docstring).items():
        if not text or title in without:
            continue
        if title in ("Args", "Attributes", "Raises"):
            lines = [f"- `{name}`: {said}" for name, said in entries(text).items()]
            parts.append(f"*{title}*\n\n" + "\n".join(lines))
        else:
            parts.append(_with_doctests(text))
    return "\n\n".join(parts)


def _with_doctests(text: str) -> str:
    return _DOCTEST.sub(lambda match: f"```pycon\n{match[1].rstrip()}\n```\n", text)


def container(classes: str, content: str, *, colons: int) -> str:
    """Return content in an element of its own, which fewer colons mark inside of it."""
    fence = ":" * colons
    return f"{fence}{{container}} {classes}\n\n{content.strip()}\n\n{fence}\n"


def code(text: str, *, first_line: int | None = None, language: str = "python") -> str:
    """Return a block of code, with the numbers of its lines if the first is given."""
    numbers = f":lineno-start: {first_line}\n" if first_line is not None else ""
    return f"```{{code-block}} {language}\n{numbers}\n{text.rstrip()}\n```"


def details(summary: str, content: str, *, is_open: bool = False) -> str:
    """Return content that can be hidden and shown."""
    title = html.escape(summary)
    shown = " open" if is_open else ""
    return f"<details{shown}><summary>{title}</summary>\n\n{content.strip()}\n\n</details>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Return a table, the columns in `right` to the right."""
    rule = ["--:" if number in right else "---" for number in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rows])


def cells_of(line: str) -> list[str]:
    """Return the cells of a line of a table."""
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]
