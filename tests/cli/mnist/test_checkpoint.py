"""Checkpoints: a run that goes on from one is the run that never stopped."""

import os
import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from schuss.cli.errors import CheckpointError
from schuss.cli.mnist import checkpoint
from schuss.cli.mnist.datasets import Dataset
from schuss.cli.mnist.training import train
from tests.cli.mnist.experiments import SETTINGS, Silent, assert_same_end, new_run, small

CASES = [
    ("sgd:lr=0.05,momentum=0.9", "constant"),
    ("sgd:lr=0.05,momentum=0.9", "wsd:warmup=2,decay_steps=4"),
    ("adamw:lr=2e-3,weight_decay=0.1", "cosine:warmup=3"),
    ("radam:lr=2e-3", "warmup:warmup=5"),
    ("adabelief:lr=2e-3,amsgrad=True", "cosine"),
    ("sophia:lr=1e-3", "cosine:warmup=3"),
]


@pytest.fixture
def data(data_dir: Path) -> Dataset:
    return small(data_dir)


@pytest.mark.parametrize(("spec", "schedule"), CASES)
def test_a_resumed_run_is_bit_equal_to_one_that_never_stopped(
    spec: str, schedule: str, data: Dataset, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, schedule=schedule)
    whole, stopped = (new_run(spec, data, settings) for _ in range(2))
    train(whole, data, Silent(), partial(checkpoint.save, data=data, path=tmp_path / "whole.pt"))

    save = partial(checkpoint.save, data=data, path=tmp_path / "stopped.pt")
    with pytest.raises(KeyboardInterrupt):
        train(stopped, data, Silent(stop=(stopped.name, 1)), save)
    saved = checkpoint.read(tmp_path / "stopped.pt")
    assert (saved.name, saved.spec, saved.settings) == (stopped.name, spec, settings)
    resumed = new_run(spec, data, saved.settings)
    checkpoint.restore(resumed, saved, data)
    assert resumed.epochs == 1
    train(resumed, data, Silent(), save)

    assert_same_end(
        checkpoint.read(tmp_path / "whole.pt"), checkpoint.read(tmp_path / "stopped.pt")
    )


def test_more_epochs_stretch_the_schedule(data: Dataset, tmp_path: Path) -> None:
    short = new_run("sgd:lr=0.1,momentum=0.9", data)
    path = tmp_path / "short.pt"
    train(short, data, Silent(), partial(checkpoint.save, data=data, path=path))

    longer = new_run(short.spec, data, replace(SETTINGS, epochs=6))
    rates = []
    for _ in range(12):
        longer.optimizer.step()
        longer.schedule.step()
        rates.append(longer.optimizer.param_groups[0]["lr"])
    resumed = new_run(short.spec, data, replace(SETTINGS, epochs=6))
    checkpoint.restore(resumed, checkpoint.read(path), data)
    # After 12 of 24 steps, the rate is what it is half-way, not that of the end.
    assert resumed.optimizer.param_groups[0]["lr"] == rates[-1] > 0.04
    train(resumed, data, Silent(), save=lambda run: None)
    assert resumed.epochs == 6
    assert resumed.schedule.last_epoch == 24
    assert resumed.optimizer.param_groups[0]["lr"] == pytest.approx(0.01)


def test_more_epochs_at_a_constant_rate_are_bit_equal_to_all_at_once(
    data: Dataset, tmp_path: Path
) -> None:
    paths = tmp_path / "whole.pt", tmp_path / "parts.pt"
    settings = replace(SETTINGS, schedule="constant", epochs=4)
    whole = new_run("adam:lr=2e-3", data, settings)
    part = new_run("adam:lr=2e-3", data, replace(settings, epochs=2))
    for run, path in zip((whole, part), paths, strict=True):
        train(run, data, Silent(), partial(checkpoint.save, data=data, path=path))
    rest = new_run("adam:lr=2e-3", data, settings)
    checkpoint.restore(rest, checkpoint.read(paths[1]), data)
    train(rest, data, Silent(), partial(checkpoint.save, data=data, path=paths[1]))
    assert_same_end(*map(checkpoint.read, paths))


def test_fewer_epochs_than_were_done_are_refused(data: Dataset, tmp_path: Path) -> None:
    run = new_run("sgd", data)
    train(run, data, Silent(), partial(checkpoint.save, data=data, path=tmp_path / "run.pt"))
    fewer = new_run("sgd", data, replace(SETTINGS, epochs=2))
    with pytest.raises(CheckpointError, match=r"3 epochs behind it, .*give --epochs 3 or more"):
        checkpoint.restore(fewer, checkpoint.read(tmp_path / "run.pt"), data)


def test_other_data_is_refused(data: Dataset, tmp_path: Path) -> None:
    run = new_run("sgd", data)
    checkpoint.save(run, data, tmp_path / "run.pt")
    with pytest.raises(CheckpointError, match=r"run.pt was trained on other images"):
        checkpoint.restore(run, checkpoint.read(tmp_path / "run.pt"), replace(data, sha256="0"))


ANEW = "remove it, and --resume of its directory trains this run anew"


def test_files_that_are_no_checkpoints_are_told(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    with pytest.raises(CheckpointError, match=r"cannot read .*run.pt: No such file"):
        checkpoint.read(path)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match=r"run.pt is no checkpoint of this version"):
        checkpoint.read(path)
    torch.save({"format": "schuss mnist, checkpoint 1"}, path)
    with pytest.raises(CheckpointError, match=rf"run.pt was .*, without a checksum; {ANEW}$"):
        checkpoint.read(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match=r"run.pt is no regular file"):
        checkpoint.read(path)


def test_no_bit_of_a_checkpoint_can_be_another(data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    checkpoint.save(new_run("sgd", data), data, path)
    sound = path.read_bytes()
    draw = random.Random(0)
    for place in [*range(120), *(draw.randrange(len(sound)) for _ in range(80))]:
        path.write_bytes(
            sound[:place] + bytes([sound[place] ^ 1 << place % 8]) + sound[place + 1 :]
        )
        with pytest.raises(CheckpointError, match=rf"run.pt is (no|damaged: .*{ANEW}$)"):
            checkpoint.read(path)
    for content in (sound[:-1], sound + b"\0", sound[:1000]):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"run.pt is damaged: its checksum is that of"):
            checkpoint.read(path)


def test_a_checkpoint_is_replaced_as_a_whole(data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    run = new_run("sgd", data)
    checkpoint.save(run, data, path)
    before = path.read_bytes()
    run.optimizer.param_groups[0]["lr"] = lambda: 0.1  # cannot be pickled
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save(run, data, path)
    assert path.read_bytes() == before
    assert list(tmp_path.glob("*.part*")) == list(tmp_path.glob(".*")) == []


def test_a_checkpoint_whose_groups_name_no_rule_is_resumed(data: Dataset, tmp_path: Path) -> None:
    run = new_run("adamw:lr=2e-3", data)
    path = tmp_path / "run.pt"
    checkpoint.save(run, data, path)
    saved = checkpoint.read(path)
    for group in saved.state["optimizer"]["param_groups"]:
        del group["schuss_rule"]
    checkpoint.restore(new_run("adamw:lr=2e-3", data), saved, data)
