"""`schuss list`: the optimizers with their ideas, sources and memory."""

from __future__ import annotations

from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schuss.cli.errors import UserError, shown_as_message
from schuss.registry import list_optimizers


def list_command(
    pattern: Annotated[
        str, typer.Argument(help="Shell pattern that the names have to match, such as 'ada*'.")
    ] = "*",
) -> None:
    """List the optimizers: what each one does, where it was published, what it remembers."""
    with shown_as_message():
        infos = list_optimizers(pattern)
        if not infos:
            raise UserError(
                f"no optimizer matches {pattern!r}; `schuss list` without a pattern shows them all"
            )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", style="bold", no_wrap=True)
    table.add_column("what it does, and where it was published", overflow="fold")
    table.add_column("memory", max_width=17)
    for info in infos:
        # Titles stand in Markdown's italics.
        source, _, address = info.source.replace("*", "").partition("<")
        published = "\n".join(filter(None, (source.strip(), address.rstrip(">"))))
        page = Text.assemble(info.summary, "\n", (published, "dim"), "\n")
        table.add_row(info.name, page, info.memory)
    Console().print(table)
