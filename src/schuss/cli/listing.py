"""`schuss list`: all optimizers with idea, source and memory, or one with its arguments."""

from __future__ import annotations

from inspect import Parameter
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schuss.cli.errors import UserError, shown_as_message
from schuss.declarations import Declared, arguments
from schuss.registry import list_optimizers


def list_command(
    pattern: Annotated[
        str, typer.Argument(help="Shell pattern that the names have to match, such as 'ada*'.")
    ] = "*",
) -> None:
    """List the optimizers: what each one does, where it was published, what it remembers.

    If one optimizer matches, its hyper-parameters follow.
    """
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
    console = Console()
    console.print(table)
    if len(infos) == 1:
        console.print(_hyperparameters(infos[0].cls))


def _hyperparameters(cls: type[Declared]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("hyper-parameter", style="bold", no_wrap=True)
    table.add_column("symbol")
    table.add_column("default", overflow="fold")
    table.add_column("meaning, and values", overflow="fold")
    for each in arguments(cls):
        if not each.is_common:
            default = "" if each.default is Parameter.empty else repr(each.default)
            # As texts, because brackets in strings would be read as markup.
            table.add_row(*map(Text, (each.name, each.symbol, default, each.explained)))
    return table
