"""The command `schuss trained`, from its options to the tables and the figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import typer

from schuss.cli.bench.markdown import read_document, write_section
from schuss.cli.errors import writing_to
from schuss.cli.trained.comparison import comparison_section
from schuss.cli.trained.contenders import Contender
from schuss.cli.trained.curves import write_curves
from schuss.cli.trained.document import Row, rows, section, sweep_table
from schuss.cli.trained.figure import write_figure
from schuss.cli.trained.outcome import Outcome, Trial
from schuss.cli.trained.search import Search
from schuss.cli.trained.tasks import Task
from schuss.cli.trained.trials import outcomes
from schuss.cli.trained.variants import ALONE, Variant

COMMAND = "trained"


@dataclass(frozen=True)
class Plan:
    """The options of the command.

    Attributes:
        task: The task.
        contenders: The optimizers.
        variants: Options with which each of them is trained too.
        epochs: Length of each training.
        seeds: How many trainings there are of each, from the seed 0 on.
        sweep: Whether to look for learning rates first.
        best: How many of the rates that were found are used.
        processes: How many trainings there are at a time.
        data_dir: A directory with files of data.
        out: Directory for the outcomes.
        markdown: The document to write to.
        command: The command as it is to be written into the document.
    """

    task: Task
    contenders: Sequence[Contender]
    variants: Sequence[Variant]
    epochs: int
    seeds: int
    sweep: bool
    best: int
    processes: int
    data_dir: Path | None
    out: Path
    markdown: Path | None
    command: str


def execute(plan: Plan) -> None:
    """Train, and write the tables and the figure.

    Raises:
        UserError: Something that the user can put right, such as a document without a place for
            the table.
    """
    if plan.markdown:
        read_document(plan.markdown, plan.task.name, COMMAND)
    data = plan.task.data(plan.data_dir, validation=False)
    steps, variants = plan.epochs * plan.task.batches(data), [ALONE, *plan.variants]
    for contender, variant in product(plan.contenders, variants):
        plan.task.check(contender.spec(steps, variant=variant), data)
    search = _search(plan)
    trials = [
        plan.task.trial(contender, data, plan.epochs, seed, power, sweep=False, variant=variant)
        for seed in range(plan.seeds)
        for contender in plan.contenders
        for power in search.powers(contender, plan.best)
        for variant in variants
    ]
    found = {outcome.trial: outcome for outcome in _followed(trials, plan)}
    text = (
        comparison_section([found[trial] for trial in trials], plan.command)
        if plan.variants
        else _section_with_figure(rows(found.values()), search.found, plan)
    )
    typer.echo(text)
    if plan.markdown:
        write_section(plan.markdown, plan.task.name, text, COMMAND)


def _section_with_figure(made: Sequence[Row], tried: Sequence[Outcome], plan: Plan) -> str:
    figure = _figure_path(plan)
    with writing_to(figure):
        if plan.task.is_survey:
            write_figure(made, figure)
        else:
            write_curves(made, tried, figure)
    return section(made, tried, figure.name, plan.command)


def _search(plan: Plan) -> Search:
    """Return a search for learning rates, which has ended, or had nothing to look for."""
    swept = [contender for contender in plan.contenders if plan.sweep and contender.is_swept]
    data = plan.task.data(plan.data_dir, validation=True)
    search = Search(plan.task, swept, data, plan.epochs)
    for trials in search.rounds():
        for outcome in _followed(trials, plan):
            search.add(outcome)
    if search.found:
        typer.echo(sweep_table(search.found), err=True)
    return search


def _figure_path(plan: Plan) -> Path:
    beside = plan.markdown or plan.out / "trained.md"
    return beside.with_name(f"{beside.stem}-{plan.task.name}.svg")


def _followed(trials: Sequence[Trial], plan: Plan) -> Iterator[Outcome]:
    """Yield the outcomes, and tell of each as it comes."""
    path = plan.out / "outcomes.jsonl"
    for count, outcome in enumerate(outcomes(trials, path, plan.processes, plan.data_dir), start=1):
        yield outcome
        trial = outcome.trial
        typer.echo(
            f"{count}/{len(trials)} {trial.spec} seed {trial.seed}: training loss "
            f"{outcome.train_loss:.4f}, {'held-out' if trial.validation else 'test'} loss "
            f"{outcome.test_loss:.4f}, accuracy {outcome.test_accuracy:.2%}",
            err=True,
        )
