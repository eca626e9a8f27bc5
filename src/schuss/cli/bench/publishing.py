"""Publishing a record of a benchmark: its files, its tables, and its section of a document."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from schuss.cli.bench.figure import figure_files
from schuss.cli.bench.markdown import read_document, write_section
from schuss.cli.bench.record import STEP, write_record
from schuss.cli.bench.tables import as_markdown, as_rich, tables
from schuss.cli.errors import OptionError, writing_to
from schuss.cli.mnist.atomic import written_atomically

_PAGE: Final = 120  # columns of a table that goes to a file; rich takes 80


@dataclass(frozen=True)
class Document:
    """A section of a document that takes the tables.

    Attributes:
        path: The document.
        section: The name of the section; the kind of the record, if None.
    """

    path: Path
    section: str | None

    def __post_init__(self) -> None:
        """Check the name of the section, after which the record and the figure are called."""
        if self.section is not None and not re.fullmatch(r"\w[\w.-]*", self.section):
            raise OptionError(
                f"--section {self.section!r} is no name for files and markers; take letters, "
                "digits, hyphens and underscores"
            )

    def check(self, kind: str) -> None:
        """Raise a `DataFileError` if the document does not have the section."""
        read_document(self.path, self.section or kind)


def finish(
    record: dict[str, Any],
    output: Path,
    document: Document | None,
    console: Console,
    name: str | None = None,
) -> None:
    """Write a record, and what follows from it: the figure, the tables, a section of a document.

    Args:
        record: The record.
        output: The directory of its files.
        document: The section of a document, or None.
        console: Shows the tables.
        name: The name of the files; that of the section, or of the kind of the record, if None.
    """
    section = document.section if document is not None else None
    path = output / f"bench-{name or section or record['kind']}.json"
    with writing_to(path):
        write_record(record, path)
    publish(report_of(record), path, document, console)
    console.print(f"record and figure: {output}", markup=False, soft_wrap=True)


@dataclass(frozen=True)
class Report:
    """The output of a record; all of it is made before any of it is written.

    Attributes:
        kind: The kind of the record.
        figures: The content of the files of the figure, by their formats.
        text: The text for a document.
        shown: The tables for a terminal.
    """

    kind: str
    figures: dict[str, bytes]
    text: str
    shown: list[Table]


def report_of(record: dict[str, Any]) -> Report:
    """Return the output of a record."""
    kind = record["kind"]
    figures = figure_files(record, "png", "svg") if kind == STEP else {}
    return Report(kind, figures, as_markdown(record), [as_rich(t) for t in tables(record)])


def publish(report: Report, path: Path, document: Document | None, console: Console) -> None:
    """Write the files beside a record and the section of a document, and show the tables."""
    for suffix, content in report.figures.items():
        file = path.with_suffix(f".{suffix}")
        with writing_to(file), written_atomically(file) as temporary:
            temporary.write_bytes(content)
    if document is not None:
        write_section(document.path, document.section or report.kind, report.text)
    for table in report.shown:
        console.print(table)


def new_console() -> Console:
    """Return a console that is wide enough for the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, _PAGE))
