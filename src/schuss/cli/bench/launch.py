"""The commands of `schuss bench`, from their options to the files that they write."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console
from rich.table import Table

from schuss.cli.bench import contenders
from schuss.cli.bench.cases import Case, parse_case
from schuss.cli.bench.contenders import CONTENDERS
from schuss.cli.bench.figure import figure_files
from schuss.cli.bench.heats import Settings, run_heat
from schuss.cli.bench.markdown import read_document, write_section
from schuss.cli.bench.measure import measure
from schuss.cli.bench.progress import shown_progress
from schuss.cli.bench.record import (
    LOOP,
    OPTIMIZERS,
    STEP,
    make_record,
    read_record,
    write_record,
)
from schuss.cli.bench.results import loop_result
from schuss.cli.bench.tables import as_markdown, as_rich, tables
from schuss.cli.bench.training import TRAINERS, TRAININGS, training_step
from schuss.cli.bench.workloads import WORKLOADS
from schuss.cli.bench.zoo import measure_all
from schuss.cli.errors import DataFileError, OptionError, writing_to
from schuss.cli.mnist.atomic import written_atomically
from schuss.registry import list_optimizers

_PAGE: Final = 120  # columns of a table that goes to a file; rich takes 80
_STEP_BLOCK: Final = 0.04  # seconds: short enough that a round sees one mood of the machine
_LOOP_BLOCK: Final = 0.25  # seconds: some steps of training, not one
_DEFAULT_TRAINERS: Final = (contenders.TORCH_FUSED, contenders.OUR_FUSED)


@dataclass(frozen=True)
class Options:
    """The options of a benchmark: the subjects to measure, and the place of the record.

    Attributes:
        workloads: Names of workloads; all, if there are none.
        contenders: Names of contenders; the usual, if there are none.
        optimizers: Optimizers with their hyper-parameters; all, if there are none.
        rounds: How often every contender has its turn.
        threads: How many threads they may use; as many as torch takes, if None.
        output: Directory of the record and the figure.
    """

    workloads: Sequence[str]
    contenders: Sequence[str]
    optimizers: Sequence[str]
    rounds: int
    threads: int | None
    output: Path

    def command(self, kind: str, *more: str) -> str:
        """Return the command line that asks for this, but for the places of files."""
        words = ["schuss", "bench", kind]
        for option in ("workloads", "contenders", "optimizers"):
            for value in getattr(self, option):
                words += [f"--{option[:-1]}", value]
        threads = str(torch.get_num_threads())
        words += ["--rounds", str(self.rounds), "--threads", threads, *more]
        return shlex.join(words)


@dataclass(frozen=True)
class Document:
    """A section of a document that takes the tables.

    Attributes:
        path: The document.
        section: The name of the section; the kind of the record, if None.
    """

    path: Path
    section: str | None

    def __post_init__(self) -> None:
        """Check the name of the section, after which the record and the figure are called."""
        if self.section is not None and not re.fullmatch(r"\w[\w.-]*", self.section):
            raise OptionError(
                f"--section {self.section!r} is no name for files and markers; take letters, "
                "digits, hyphens and underscores"
            )

    def check(self, kind: str) -> None:
        """Raise a `DataFileError` if the document does not have the section."""
        read_document(self.path, self.section or kind)


def launch_step(options: Options, document: Document | None, memory: float, cold: bool) -> None:
    """Measure bare steps, and write the record, the figure and the tables.

    Args:
        options: The options of the benchmark.
        document: The section of a document that takes the tables, or None.
        memory: The memory that contenders may fill at a time, in GiB.
        cold: Whether to time first steps in new processes.

    Raises:
        UserError: Something that the user can put right.
    """
    names = _known("--workload", options.workloads, WORKLOADS)
    _known("--contender", options.contenders, CONTENDERS)
    cases, settings = _prepare(options, document, STEP, _STEP_BLOCK)
    console, results = _console(), []
    with shown_progress(console) as progress:
        for case in cases:
            chosen = contenders.selected(case, options.contenders)
            for name in names:
                workload = WORKLOADS[name]
                result = measure(
                    case, workload, chosen, settings, progress, memory=memory, cold=cold
                )
                results.append(result)
    more = [] if cold else ["--no-cold"]
    record = make_record(STEP, options.command(STEP, *more), settings, results)
    _finish(record, options.output, document, console)


def launch_loop(options: Options, document: Document | None) -> None:
    """Measure steps of training, and write the record, the figure and the tables.

    Args:
        options: The options of the benchmark.
        document: The section of a document that takes the tables, or None.

    Raises:
        UserError: Something that the user can put right.
    """
    names = _known("--workload", options.workloads, TRAININGS)
    asked = options.contenders or _DEFAULT_TRAINERS
    _known("--contender", asked, TRAINERS)
    chosen = [name for name in TRAINERS if name in (*asked, contenders.TORCH_FUSED)]
    cases, settings = _prepare(options, document, LOOP, _LOOP_BLOCK)
    console, results = _console(), []
    with shown_progress(console) as progress:
        for case in cases:
            for training in map(TRAININGS.__getitem__, names):
                progress.begins(f"{case.name}, {training.title}", len(chosen) + settings.rounds)
                prepare = partial(training_step, training, case)
                heat = run_heat(chosen, prepare, settings, progress)
                about = training.name, training.title, training.numbers()
                results.append(loop_result(case.spec, *about, heat))
    record = make_record(LOOP, options.command(LOOP), settings, results)
    _finish(record, options.output, document, console)


def launch_optimizers(options: Options, document: Document | None, memory: float) -> None:
    """Measure a step of several optimizers, and write the record and the tables.

    Args:
        options: The options of the benchmark.
        document: The section of a document that takes the tables, or None.
        memory: The memory that optimizers may fill at a time, in GiB.

    Raises:
        UserError: Something that the user can put right.
    """
    names = _known("--workload", options.workloads, WORKLOADS)
    fused = [info.name for info in list_optimizers() if not info.cls.takes_matrices_only]
    every = options.optimizers or fused
    cases, settings = _prepare(
        replace(options, optimizers=every), document, OPTIMIZERS, _STEP_BLOCK
    )
    console, results = _console(), []
    with shown_progress(console) as progress:
        for name in names:
            workload = WORKLOADS[name]
            results += [measure_all(cases, workload, settings, progress, memory=memory)]
    record = make_record(OPTIMIZERS, options.command(OPTIMIZERS), settings, results)
    _finish(record, options.output, document, console)


def launch_show(path: Path, document: Document | None) -> None:
    """Show an earlier record again, and draw its figure anew.

    Args:
        path: The record.
        document: The section of a document that takes the tables, or None.

    Raises:
        UserError: Something that the user can put right.
    """
    record = read_record(path)
    if document is not None:
        document.check(record["kind"])
    try:
        report = _report(record)
    except Exception as error:  # whatever is missing in it, or is something else
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise DataFileError(
            f"{path} is damaged, or was changed by hand ({reason}); measure again"
        ) from error
    _publish(report, path, document, _console())


def _known(option: str, asked: Collection[str], there: Collection[str]) -> list[str]:
    """Return those asked for, or all, in the order in which they are told."""
    for name in asked:
        if name not in there:
            raise OptionError(f"{option} {name} is none of {', '.join(there)}")
    return [name for name in there if name in asked or not asked]


def _prepare(
    options: Options, document: Document | None, kind: str, block: float
) -> tuple[list[Case], Settings]:
    """Check what can be checked before a long run, and return what it needs."""
    cases = [parse_case(spec) for spec in dict.fromkeys(options.optimizers)]
    if document is not None:
        document.check(kind)
    with writing_to(options.output):
        options.output.mkdir(parents=True, exist_ok=True)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    return cases, Settings(options.rounds, torch.get_num_threads(), block=block)


def _finish(
    record: dict[str, Any], output: Path, document: Document | None, console: Console
) -> None:
    section = document.section if document is not None else None
    path = output / f"bench-{section or record['kind']}.json"
    with writing_to(path):
        write_record(record, path)
    _publish(_report(record), path, document, console)
    console.print(f"record and figure: {output}", markup=False, soft_wrap=True)


@dataclass(frozen=True)
class _Report:
    """The output of a record; all of it is made before any of it is written.

    Attributes:
        kind: The kind of the record.
        figures: The content of the files of the figure, by their formats.
        text: The text for a document.
        shown: The tables for a terminal.
    """

    kind: str
    figures: dict[str, bytes]
    text: str
    shown: list[Table]


def _report(record: dict[str, Any]) -> _Report:
    kind = record["kind"]
    figures = figure_files(record, "png", "svg") if kind == STEP else {}
    return _Report(kind, figures, as_markdown(record), [as_rich(t) for t in tables(record)])


def _publish(report: _Report, path: Path, document: Document | None, console: Console) -> None:
    for suffix, content in report.figures.items():
        file = path.with_suffix(f".{suffix}")
        with writing_to(file), written_atomically(file) as temporary:
            temporary.write_bytes(content)
    if document is not None:
        write_section(document.path, document.section or report.kind, report.text)
    for table in report.shown:
        console.print(table)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, _PAGE))
