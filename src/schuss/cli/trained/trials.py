"""Many trials, in several processes, whose outcomes are kept in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import torch

from schuss.cli.contents import Contents, parse_json
from schuss.cli.errors import DataFileError, writing_to
from schuss.cli.trained.outcome import Outcome, Trial, read_outcome
from schuss.cli.trained.tasks import TASKS


def outcomes(
    trials: Sequence[Trial], path: Path, processes: int, data_dir: Path | None = None
) -> Iterator[Outcome]:
    """Yield what comes of the trials: first of those in the file, then of the others, as they end.

    Args:
        trials: The trials.
        path: A file with a line (JSON) for each outcome, to which new ones are added.
        processes: How many to train at a time, each in one thread.
        data_dir: A directory with files of data.

    Raises:
        DataFileError: A line of the file is none, or data is missing.
        UserError: The file cannot be written to.
    """
    done = {outcome.trial: outcome for outcome in _read(path)}
    yield from (done[trial] for trial in trials if trial in done)
    missing = [trial for trial in trials if trial not in done]
    with writing_to(path), path.open("a", encoding="utf-8") as file:
        for outcome in _train_all(missing, processes, data_dir):
            file.write(json.dumps(asdict(outcome)) + "\n")
            file.flush()
            yield outcome


def train_one(trial: Trial, data_dir: Path | None = None) -> Outcome:
    """Train, and test."""
    task = TASKS[trial.task]
    return task.train(trial, task.data(data_dir, validation=trial.validation))


def _train_all(trials: Sequence[Trial], processes: int, data_dir: Path | None) -> Iterator[Outcome]:
    if processes == 1 or not trials:
        yield from (train_one(trial, data_dir) for trial in trials)
        return
    pool = ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    )
    with pool:
        running = [pool.submit(train_one, trial, data_dir) for trial in trials]
        try:
            for future in as_completed(running):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _read(path: Path) -> Iterator[Outcome]:
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise DataFileError(f"cannot read {path}: {error.strerror or error}") from None
    for number, line in enumerate(lines, start=1):
        yield _outcome(line, f"{path} is damaged in line {number}")


def _outcome(line: bytes, damaged: str) -> Outcome:
    try:
        return read_outcome(Contents(parse_json(line.decode())))
    except ValueError as error:
        raise DataFileError(
            f"{damaged}: {error}; remove that line, and what it told of is trained again"
        ) from None
