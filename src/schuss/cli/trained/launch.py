"""The command `schuss trained`, from its options to the table and the figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from schuss.cli.bench.markdown import read_document, write_section
from schuss.cli.errors import writing_to
from schuss.cli.trained.document import rows, sweep_table, table
from schuss.cli.trained.figure import write_figure
from schuss.cli.trained.trials import Outcome, Trial, outcomes, reported, swept

COMMAND = "trained"
SECTION = "all"


def report(
    names: Sequence[str],
    epochs: int,
    seeds: int,
    processes: int,
    *,
    out: Path,
    markdown: Path | None,
) -> None:
    """Train, and write the table and the figure.

    Raises:
        DataFileError: There is a document without a place for the table.
    """
    if markdown:
        read_document(markdown, SECTION, COMMAND)
    made = rows(_followed(reported(names, epochs, seeds), out, processes))
    figure = markdown.with_suffix(".svg") if markdown else out / "trained.svg"
    with writing_to(figure):
        write_figure(made, figure)
    text = table(made, figure.name)
    typer.echo(text)
    if markdown:
        write_section(markdown, SECTION, text, COMMAND)


def search(names: Sequence[str], epochs: int, processes: int, out: Path) -> None:
    """Train with several learning rates, and print what came of them."""
    typer.echo(sweep_table(_followed(swept(names, epochs), out, processes)))


def _followed(trials: Sequence[Trial], out: Path, processes: int) -> list[Outcome]:
    """Return the outcomes, and tell of each as it comes."""
    found = []
    for outcome in outcomes(trials, out / "outcomes.jsonl", processes):
        found.append(outcome)
        trial = outcome.trial
        typer.echo(
            f"{len(found)}/{len(trials)} {trial.spec} seed {trial.settings.seed}: "
            f"training loss {outcome.train_loss:.4f}, accuracy {outcome.test_accuracy:.2%}",
            err=True,
        )
    return found
