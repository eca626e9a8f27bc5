"""`schuss bench`: its commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from schuss.cli.bench.contenders import CONTENDERS
from schuss.cli.bench.training import TRAINERS, TRAININGS
from schuss.cli.bench.workloads import WORKLOADS
from schuss.cli.errors import shown_as_message

DEFAULT_OUTPUT: Final = Path("runs/bench")
DEFAULT_OPTIMIZER: Final = "adamw"
DEFAULT_WORKLOAD: Final = "resnet50"

Workloads: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--workload",
        metavar="NAME",
        help=f"Whose parameters: {', '.join(WORKLOADS)}; give it again for each.",
        show_default="all",
    ),
]
Trainings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--workload",
        metavar="NAME",
        help=f"What is trained: {', '.join(TRAININGS)}; give it again for each.",
        show_default="both",
    ),
]
Contenders: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--contender",
        metavar="NAME",
        help=f"An implementation: {', '.join(CONTENDERS)}; give it again for each. Those that the "
        "others are compared with always take part.",
        show_default="all but torch-compile, which needs minutes, and the chains",
    ),
]
Trainers: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--contender",
        metavar="NAME",
        help=f"An implementation: {', '.join(TRAINERS)}; give it again for each. torch-fused "
        "always takes part.",
        show_default="torch-fused and schuss-fused",
    ),
]
Optimizers: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--optimizer",
        metavar="SPEC",
        help="An optimizer and its hyper-parameters, as NAME or NAME:OPTION=VALUE,OPTION=VALUE; "
        "give it again for each.",
        show_default=DEFAULT_OPTIMIZER,
    ),
]
Every: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--optimizer",
        metavar="SPEC",
        help="An optimizer and its hyper-parameters, as NAME or NAME:OPTION=VALUE,OPTION=VALUE; "
        "give it again for each.",
        show_default="all that there are",
    ),
]
Rounds: TypeAlias = Annotated[
    int, typer.Option(min=1, metavar="N", help="How often every contender has its turn.")
]
Compared: TypeAlias = Annotated[
    int, typer.Option(min=2, metavar="N", help="How often every contender has its turn.")
]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Threads for every contender.",
        show_default="as many as torch takes",
    ),
]
Memory: TypeAlias = Annotated[
    float,
    typer.Option(
        min=0.1,
        metavar="GIB",
        help="What contenders may fill at a time; of large models, fewer take turns then.",
    ),
]
Cold: TypeAlias = Annotated[
    bool,
    typer.Option(
        help="Also time the first step in new processes, with an empty and with a filled cache of "
        "kernels.",
    ),
]
Output: TypeAlias = Annotated[
    Path,
    typer.Option(metavar="PATH", help="Directory for the record (JSON) and the figure."),
]
Markdown: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="A document, between two markers of which the tables go."),
]
Section: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The name that the markers have.",
        show_default="that of the command",
    ),
]
Record: TypeAlias = Annotated[
    Path, typer.Argument(metavar="RECORD", help="A record (JSON) of an earlier call.")
]

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

    options = Options(
        workload or [], contender or [], optimizer or [DEFAULT_OPTIMIZER], rounds, threads, output
    )
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
        launch_optimizers(options, Document(markdown, section) if markdown else None, memory)


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
    ours. The elementwise part of Muon is compared with a kernel that only moves the bytes.
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
