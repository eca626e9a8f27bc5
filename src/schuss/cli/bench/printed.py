"""Benchmarks that leave no record: their lines are printed, and written into a document."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console

from schuss.cli.bench.heats import Settings
from schuss.cli.bench.markdown import read_document, write_section
from schuss.cli.bench.progress import Progress, shown_progress


def launch(
    section: str,
    options: Sequence[str],
    lines: Callable[[Console], Iterable[str]],
    document: Path | None,
) -> None:
    """Measure, and print the lines that came of it below the command that asks for them.

    Args:
        section: The name of the benchmark, and of its section in a document.
        options: The options of the command.
        lines: Measures, and returns the lines; may show how far it is.
        document: A document, whose section takes the lines.

    Raises:
        DataFileError: The document has no such section. Nothing has been measured then.
    """
    if document is not None:
        read_document(document, section)
    console = Console()
    command = shlex.join(["schuss", "bench", section, *options])
    text = "\n".join([f"    {command}", "", *lines(console)])
    console.print(text, markup=False, soft_wrap=True)
    if document is not None:
        write_section(document, section, text)


def launch_timed(
    section: str,
    settings: Settings,
    lines: Callable[[Settings, Progress], Iterable[str]],
    document: Path | None,
) -> None:
    """Time steps as `launch` does, and show how far that is.

    Args:
        section: The name of the benchmark, and of its section in a document.
        settings: How long and on how many threads steps are timed.
        lines: Measures, and returns the lines.
        document: A document, whose section takes the lines.
    """
    torch.set_num_threads(settings.threads)
    options = ["--rounds", str(settings.rounds), "--threads", str(settings.threads)]

    def shown(console: Console) -> Iterator[str]:
        with shown_progress(console) as progress:
            yield from lines(settings, progress)

    launch(section, options, shown, document)
