"""The commands of `schuss bench`, from their options to the files that they write."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Final

import torch

from schuss.cli.bench import contenders
from schuss.cli.bench.cases import Case, parse_case
from schuss.cli.bench.contenders import CONTENDERS
from schuss.cli.bench.heats import Settings, run_heat
from schuss.cli.bench.matrices import RACES, measure_race
from schuss.cli.bench.measure import measure
from schuss.cli.bench.progress import shown_progress
from schuss.cli.bench.publishing import Document, finish, new_console, publish, report_of
from schuss.cli.bench.record import (
    LOOP,
    OPTIMIZERS,
    STEP,
    WHOLE,
    make_record,
    read_record,
)
from schuss.cli.bench.results import loop_result
from schuss.cli.bench.training import TRAINERS, TRAININGS, training_step
from schuss.cli.bench.workloads import WORKLOADS
from schuss.cli.bench.zoo import Subjects, measure_all
from schuss.cli.devices import CPU, check_device
from schuss.cli.errors import DataFileError, OptionError, writing_to
from schuss.registry import list_optimizers
from schuss.storage.codecs.policy import PRESETS

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
        device: The device that contenders run on.
    """

    workloads: Sequence[str]
    contenders: Sequence[str]
    optimizers: Sequence[str]
    rounds: int
    threads: int | None
    output: Path
    device: str = CPU

    def command(self, kind: str, *more: str) -> str:
        """Return the command line that asks for this, but for the places of files."""
        words = ["schuss", "bench", kind]
        for option in ("workloads", "contenders", "optimizers"):
            for value in getattr(self, option):
                words += [f"--{option[:-1]}", value]
        threads = str(torch.get_num_threads())
        words += ["--rounds", str(self.rounds), "--threads", threads, *more]
        words += [] if self.device == CPU else ["--device", self.device]
        return shlex.join(words)


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
    console, results = new_console(), []
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
    finish(record, options.output, document, console)


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
    console, results = new_console(), []
    with shown_progress(console) as progress:
        for case in cases:
            for training in map(TRAININGS.__getitem__, names):
                progress.begins(f"{case.name}, {training.title}", len(chosen) + settings.rounds)
                prepare = partial(training_step, training, case)
                heat = run_heat(chosen, prepare, settings, progress)
                about = training.name, training.title, training.numbers()
                results.append(loop_result(case.spec, *about, heat))
    record = make_record(LOOP, options.command(LOOP), settings, results)
    finish(record, options.output, document, console)


def launch_optimizers(
    options: Options, document: Document | None, memory: float, storages: Sequence[str]
) -> None:
    """Measure a step of several optimizers, and write the record and the tables.

    Args:
        options: The options of the benchmark.
        document: The section of a document that takes the tables, or None.
        memory: The memory that optimizers may fill at a time, in GiB.
        storages: Presets of `state_storage`; if there are none, state is kept as parameters are.

    Raises:
        UserError: Something that the user can put right.
    """
    names = _known("--workload", options.workloads, WORKLOADS)
    presets = _known("--state-storage", storages, PRESETS) if storages else [None]
    of_every_shape = [x.name for x in list_optimizers() if not x.cls.takes_matrices_only]
    every = options.optimizers or of_every_shape
    cases, settings = _prepare(
        replace(options, optimizers=every), document, OPTIMIZERS, _STEP_BLOCK
    )
    console, results = new_console(), []
    with shown_progress(console) as progress:
        for name, storage in product(names, presets):
            subjects = Subjects(cases, WORKLOADS[name], storage)
            results += [measure_all(subjects, settings, progress, memory=memory)]
    more = [word for storage in storages for word in ("--state-storage", storage)]
    record = make_record(OPTIMIZERS, options.command(OPTIMIZERS, *more), settings, results)
    finish(record, options.output, document, console)


def launch_matrices(options: Options, document: Document | None) -> None:
    """Measure steps of rules of whole matrices, and write the records and the tables.

    Each workload has a record of its own, which is written as soon as it has been measured.

    Args:
        options: The options of the benchmark; it has no choice of optimizers.
        document: The document that takes the tables, or None. The section of a workload is the one
            of its name, after that of the document.

    Raises:
        UserError: Something that the user can put right.
    """
    usual = [name for name, race in RACES.items() if not race.on_demand]
    names = _known("--workload", options.workloads or usual, RACES)
    begin = (document.section if document else None) or WHOLE
    sections = {name: f"{begin}-{name}" for name in names}
    places = {name: document and Document(document.path, sections[name]) for name in names}
    for place in filter(None, places.values()):
        place.check(WHOLE)
    _, settings = _prepare(options, None, WHOLE, _STEP_BLOCK)
    console = new_console()
    for name in names:
        with shown_progress(console) as progress:
            results = [measure_race(RACES[name], settings, progress)]
        command = replace(options, workloads=[name]).command("matrices")
        record = make_record(WHOLE, command, settings, results)
        finish(record, options.output, places[name], console, sections[name])


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
        report = report_of(record)
    except Exception as error:  # whatever is missing in it, or is something else
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise DataFileError(
            f"{path} is damaged, or was changed by hand ({reason}); measure again"
        ) from error
    publish(report, path, document, new_console())


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
    check_device(options.device)
    if document is not None:
        document.check(kind)
    with writing_to(options.output):
        options.output.mkdir(parents=True, exist_ok=True)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    return cases, Settings(
        options.rounds, torch.get_num_threads(), block=block, device=options.device
    )
