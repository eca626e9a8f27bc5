"""`schuss list`: what optimizers there are."""

from __future__ import annotations

from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

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
    table = Table(box=box.SIMPLE_HEAD, show_lines=False)
    table.add_column("name", style="bold", no_wrap=True)
    for heading in ("what it does", "source", "memory"):
        table.add_column(heading, overflow="fold")
    for info in infos:
        table.add_row(info.name, info.summary, info.source, info.memory)
    Console(markup=False).print(table)
