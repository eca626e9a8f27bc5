"""`schuss bench`: its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from schuss.cli.bench.arguments import (
    DEFAULT_OPTIMIZER,
    DEFAULT_OUTPUT,
    DEFAULT_WORKLOAD,
    Cold,
    Compared,
    Contenders,
    Device,
    Every,
    Markdown,
    Memory,
    Optimizers,
    Output,
    Record,
    Rounds,
    Section,
    Storages,
    Threads,
    Trainers,
    Trainings,
    Workloads,
)
from schuss.cli.devices import CPU
from schuss.cli.errors import shown_as_message

bench = typer.Typer(
    help="Measure how long a step takes, beside other implementations and a floor.",
    no_args_is_help=True,
)


@bench.command("step")
def step_command(
    workload: Workloads = None,
    contender: Contenders = None,
    optimizer: Optimizers = None,
    rounds: Rounds = 15,
    threads: Threads = None,
    device: Device = CPU,
    memory: Memory = 12.0,
    cold: Cold = True,
    output: Output = DEFAULT_OUTPUT,
    markdown: Markdown = None,
    section: Section = None,
) -> None:
    """Time single steps, on parameters and gradients alone.

    The contenders take turns, and are compared within each round: with torch's fused step, and with
    a kernel that only moves the bytes. A table, a record and a figure follow.
    """
    # Not at the top: it brings matplotlib and scikit-learn, which take a second to load.
    from schuss.cli.bench.launch import Options, launch_step
    from schuss.cli.bench.publishing import Document

    chosen = workload or [], contender or [], optimizer or [DEFAULT_OPTIMIZER]
    options = Options(*chosen, rounds, threads, output, device)
    with shown_as_message():
        document = Document(markdown, section) if markdown else None
        launch_step(options, document, memory, cold)


@bench.command("loop")
def loop_command(
    workload: Trainings = None,
    contender: Trainers = None,
    optimizer: Optimizers = None,
    rounds: Rounds = 15,
    threads: Threads = None,
    output: Output = DEFAULT_OUTPUT,
    markdown: Markdown = None,
    section: Section = None,
) -> None:
    """Time whole steps of training: forward, backward, and the optimizer's.

    A small network learns the digits, and a small transformer random tokens.
    """
    from schuss.cli.bench.launch import Options, launch_loop
    from schuss.cli.bench.publishing import Document

    options = Options(
        workload or [], contender or [], optimizer or [DEFAULT_OPTIMIZER], rounds, threads, output
    )
    with shown_as_message():
        launch_loop(options, Document(markdown, section) if markdown else None)


@bench.command("optimizers")
def optimizers_command(
    workload: Workloads = None,
    optimizer: Every = None,
    rounds: Rounds = 15,
    threads: Threads = None,
    memory: Memory = 12.0,
    state_storage: Storages = None,
    output: Output = DEFAULT_OUTPUT,
    markdown: Markdown = None,
    section: Section = None,
) -> None:
    """Time a step of every optimizer, on the fused engine, beside one of AdamW.

    The time of a step is divided by the bytes that it has to move: 1 is as fast as AdamW.
    """
    from schuss.cli.bench.launch import Options, launch_optimizers
    from schuss.cli.bench.publishing import Document

    options = Options(workload or [DEFAULT_WORKLOAD], [], optimizer or [], rounds, threads, output)
    with shown_as_message():
        document = Document(markdown, section) if markdown else None
        launch_optimizers(options, document, memory, state_storage or [])


@bench.command("matrices")
def matrices_command(
    workload: Annotated[
        list[str] | None,
        typer.Option(
            "--workload",
            metavar="NAME",
            help="A workload of matrices, see docs/benchmarks.md; give it again for each.",
            show_default="all but muon-gpt2-12, which is there for a quick look",
        ),
    ] = None,
    rounds: Rounds = 7,
    threads: Threads = None,
    output: Output = DEFAULT_OUTPUT,
    markdown: Markdown = None,
    section: Section = None,
) -> None:
    """Time steps of Muon and SOAP beside other implementations, and of Muon within a Composite.

    The contenders take turns, and are compared within each round with the first of them, which is
    ours. The elementwise part of Muon is compared with a kernel that only moves the bytes. Each
    workload has a record and a section of its own, such as `whole-matrices-muon-64`.
    """
    from schuss.cli.bench.launch import Options, launch_matrices
    from schuss.cli.bench.publishing import Document

    options = Options(workload or [], [], [], rounds, threads, output)
    with shown_as_message():
        launch_matrices(options, Document(markdown, section) if markdown else None)


@bench.command("uneven")
def uneven_command(
    rounds: Compared = 15,
    threads: Threads = None,
    markdown: Markdown = None,
) -> None:
    """Time AdamW where gradients are missing, and where parameters have counts of their own."""
    from schuss.cli.bench.uneven import launch_uneven

    with shown_as_message():
        launch_uneven(rounds, threads, markdown)


@bench.command("storage")
def storage_command(
    workload: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Of these.")] = None,
    rounds: Compared = 9,
    threads: Threads = None,
    markdown: Markdown = None,
) -> None:
    """Time AdamW with state and weights in fewer bytes, each beside torch's fused in float32."""
    from schuss.cli.bench.storage import PLACES, launch_storage

    with shown_as_message():
        launch_storage(list(workload or PLACES), rounds, threads, markdown)


@bench.command("import")
def import_command(
    rounds: Annotated[
        int, typer.Option(min=1, metavar="N", help="In how many new processes to import.")
    ] = 5,
) -> None:
    """Time `import schuss`, beyond the import of torch."""
    from schuss.cli.bench.importing import AIM_MS, import_ms

    with shown_as_message():
        typer.echo(f"import schuss: {import_ms(rounds):.1f} ms after torch; the aim is {AIM_MS}")


@bench.command("show")
def show_command(record: Record, markdown: Markdown = None, section: Section = None) -> None:
    """Show the tables of an earlier call again, and draw its figure anew."""
    from schuss.cli.bench.launch import launch_show
    from schuss.cli.bench.publishing import Document

    with shown_as_message():
        launch_show(record, Document(markdown, section) if markdown else None)


@bench.command("orthogonal")
def orthogonal_command(markdown: Markdown = None) -> None:
    """Measure how far `orthogonalized` is from the exact polar factor, by condition number.

    A table follows, with a line for each set of coefficients.
    """
    from schuss.cli.bench.orthogonal import launch_orthogonal

    with shown_as_message():
        launch_orthogonal(markdown)
