"""The commands, each in a module of its own."""

from __future__ import annotations

import typer

from schuss.cli.bench.command import bench
from schuss.cli.explain import explain_command
from schuss.cli.listing import list_command
from schuss.cli.memory import memory_command
from schuss.cli.mnist.command import mnist_command
from schuss.cli.trained.command import trained_command

app = typer.Typer(
    name="schuss",
    help="PyTorch optimizers, each written once as a rule for one parameter.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.command("mnist")(mnist_command)
app.command("trained")(trained_command)
app.command("list")(list_command)
app.command("explain")(explain_command)
app.command("memory")(memory_command)
app.add_typer(bench, name="bench")
