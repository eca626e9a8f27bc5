"""The record and the summary of a run."""

import json
import platform
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import schuss
from schuss.cli.mnist.datasets import Dataset
from schuss.cli.mnist.report import summary, write_record
from schuss.cli.mnist.training import Run, train
from tests.cli.mnist.experiments import Silent, new_run, small


@pytest.fixture
def data(data_dir: Path) -> Dataset:
    return small(data_dir)


def trained(spec: str, data: Dataset) -> Run:
    run = new_run(spec, data)
    train(run, data, Silent(), save=lambda run: None)
    return run


def strict(path: Path) -> dict[str, Any]:
    """Read JSON as the standard has it, without NaN and Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    return record


def test_a_record_holds_configuration_versions_curve_and_end(data: Dataset, tmp_path: Path) -> None:
    run = trained("adamw:lr=1e-3,betas=(0.9, 0.95)", data)
    write_record(run, data, tmp_path / "run.json")
    record = strict(tmp_path / "run.json")
    assert record["config"]["optimizer"] == "adamw:lr=1e-3,betas=(0.9, 0.95)"
    assert record["config"]["hyperparameters"]["betas"] == [0.9, 0.95]
    assert record["config"]["hyperparameters"]["weight_decay"] == 0.01  # the default
    assert record["config"]["schedule"] == "cosine:warmup=3"
    assert record["config"]["total_steps"] == 12
    assert record["config"]["parameters"] == 431_080
    assert record["data"] == {
        "title": "MNIST",
        "train_images": 128,
        "test_images": 48,
        "sha256": data.sha256,
    }
    assert record["versions"]["schuss"] == schuss.__version__
    assert record["versions"]["torch"] == torch.__version__
    assert record["versions"]["python"] == platform.python_version()
    assert record["curve"]["train_loss"] == run.curve.train_loss
    assert record["curve"]["test_accuracy"] == run.curve.test_accuracy
    assert record["final"]["test_accuracy"] == run.curve.test_accuracy[-1]
    assert record["final"]["steps"] == 12
    # 128 images in each of three epochs.
    rate = 3 * 128 / sum(run.curve.seconds)
    assert record["final"]["samples_per_second"] == pytest.approx(rate)


def test_a_record_of_a_run_that_diverged_is_json(data: Dataset, tmp_path: Path) -> None:
    run = trained("sgd:lr=1e18", data)
    write_record(run, data, tmp_path / "run.json")
    record = strict(tmp_path / "run.json")
    assert record["curve"]["train_loss"][-1] is None
    assert record["final"]["train_loss"] is None
    assert record["final"]["diverged_at"] == run.curve.diverged_at


def test_the_summary_has_the_best_run_first_and_those_that_diverged_last(data: Dataset) -> None:
    runs = [trained(spec, data) for spec in ("sgd:lr=1e18", "sgd:lr=0.0", "adam:lr=2e-3")]
    output = StringIO()
    Console(file=output, width=110).print(summary(runs, data))
    text = output.getvalue()
    assert "MNIST: 48 images to test on" in text
    assert text.index("adam lr=2e-3") < text.index("sgd lr=0.0") < text.index("sgd lr=1e18")
    assert f"diverged at step {runs[0].curve.diverged_at}" in text
    assert f"{runs[2].curve.test_accuracy[-1]:.2%}" in text


def test_brackets_in_a_spec_are_not_markup(data: Dataset) -> None:
    output = StringIO()
    Console(file=output, width=110).print(summary([trained("adam:betas=[0.9, 0.95]", data)], data))
    assert "betas=[0.9" in output.getvalue()
