"""`schuss trained`: its options."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Final

import typer

from schuss.cli.errors import OptionError, shown_as_message, writing_to

DEFAULT_OUT: Final = Path("runs/trained")
LEAST_SEEDS: Final = 2
"""So many seeds have a spread."""
TASK_NAMES: Final = ("digits", "images", "characters")


def trained_command(
    task: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"What is trained: {', '.join(TASK_NAMES)}. A network with convolutions on "
            "scikit-learn's digits or on images of Fashion-MNIST, or a transformer on text.",
        ),
    ] = TASK_NAMES[0],
    optimizer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC",
            help="One of them, as NAME or NAME:OPTION=VALUE,OPTION=VALUE; give it again for each. "
            "Options come before those of its recipe. Without it: all.",
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="OPTION=VALUE,OPTION=VALUE",
            help="Train every optimizer with these options too, such as state_storage='8bit', and "
            "compare it with itself alone, seed by seed; give it again for each. "
            "dtype='bfloat16' is for the weights of the network.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Times to go through the images; or hundreds of batches of text.",
            show_default="2 for images, else 5",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Runs of each, from 0 on.")] = 3,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep",
            help="Look first for the learning rates, around those of the recipes and on as long as "
            "the best is at the edge: with another seed, and judged by data that is held out of "
            "what is there to learn from. An optimizer that is given its lr keeps it.",
        ),
    ] = False,
    best: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="With --sweep: how many of the best rates all seeds run at."
        ),
    ] = 1,
    processes: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many to train at a time.")
    ] = 2,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Directory with the files of Fashion-MNIST, as of `schuss mnist`."
        ),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="A document to write the tables to, between the markers of the task; the figure "
            "comes beside it, as NAME-TASK.svg.",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help="Directory for the outcomes, and the figure if there is no document. Outcomes of "
            "an earlier call are not trained again; remove them after a change of the code.",
        ),
    ] = DEFAULT_OUT,
) -> None:
    """Train optimizers on one task, each at a learning rate that suits it.

    All see the same data in the same order, from the same weights.
    """
    # Not at the top: they bring scikit-learn and matplotlib, which take a second to load.
    from schuss.cli.trained.contenders import contenders
    from schuss.cli.trained.launch import Plan, execute
    from schuss.cli.trained.tasks import TASKS
    from schuss.cli.trained.variants import variants

    with shown_as_message():
        if task not in TASKS:
            raise OptionError(f"--task {task} is none of {', '.join(TASKS)}")
        if variant and seeds < LEAST_SEEDS:
            raise OptionError(f"--with compares by the spread of the seeds: --seeds {LEAST_SEEDS}")
        plan = Plan(
            TASKS[task],
            contenders(optimizer),
            variants(variant or []),
            epochs or TASKS[task].epochs,
            seeds,
            sweep,
            best,
            processes,
            data_dir,
            out,
            markdown,
            _command(task, optimizer, variant, epochs, seeds, best if sweep else 0),
        )
        with writing_to(f"--out {out}"):
            out.mkdir(parents=True, exist_ok=True)
        execute(plan)


def _command(
    task: str,
    optimizer: list[str] | None,
    variant: list[str] | None,
    epochs: int | None,
    seeds: int,
    best: int,
) -> str:
    """Return the command that trains the same; `best` is 0 if it is without a sweep."""
    words = ["schuss", "trained", "--task", task]
    words += [word for spec in optimizer or () for word in ("--optimizer", spec)]
    words += [word for options in variant or () for word in ("--with", options)]
    words += ["--epochs", str(epochs)] if epochs else []
    words += ["--seeds", str(seeds)]
    words += ["--sweep"] if best else []
    words += ["--best", str(best)] if best > 1 else []
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """Return a word as a shell takes it: one with single quotes in it between double ones."""
    plain = "'" in word and not set(word) & set('"$`\\!')
    return f'"{word}"' if plain else shlex.quote(word)
