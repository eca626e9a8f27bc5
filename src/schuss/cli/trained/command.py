"""`schuss trained`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from schuss.cli.errors import OptionError, shown_as_message, writing_to

DEFAULT_OUT: Final = Path("runs/trained")


def trained_command(
    optimizer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="One of them; give it again for each. Without it: all."),
    ] = None,
    epochs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Times to go through the images.")
    ] = 5,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Runs of each, from 0 on.")] = 3,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep",
            help="Look instead for learning rates, around those that are used: with another seed, "
            "and judged by images that are held out of those to learn from.",
        ),
    ] = False,
    processes: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many to train at a time.")
    ] = 2,
    markdown: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="A document to write the table to, between its markers; the figure comes beside "
            "it, of the same name.",
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
    """Train all optimizers on scikit-learn's digits, each at a learning rate that suits it.

    All see the same images in the same order, from the same weights.
    """
    from schuss.cli.trained.launch import report, search

    with shown_as_message():
        names = _names(optimizer)
        with writing_to(f"--out {out}"):
            out.mkdir(parents=True, exist_ok=True)
        if sweep:
            search(names, epochs, processes, out)
        else:
            report(names, epochs, seeds, processes, out=out, markdown=markdown)


def _names(asked: list[str] | None) -> list[str]:
    from schuss.cli.trained.recipes import RECIPES

    names = [name.lower() for name in asked or RECIPES]
    for name in names:
        if name not in RECIPES:
            raise OptionError(f"--optimizer {name}: there is no recipe; see `schuss list`")
    return names
