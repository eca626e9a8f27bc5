"""`schuss trained`: that nothing is left out, and that the table and the figure are written."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from schuss.cli.app import app
from schuss.cli.bench.markdown import markers
from schuss.cli.mnist.datasets import Dataset, load_digits
from schuss.cli.mnist.settings import Settings
from schuss.cli.trained import trials
from schuss.cli.trained.document import rows, sweep_table, table
from schuss.cli.trained.figure import write_figure
from schuss.cli.trained.recipes import RECIPES
from schuss.cli.trained.trials import (
    Outcome,
    Trial,
    held_out,
    outcomes,
    reported,
    swept,
    train_one,
)
from schuss.registry import create_optimizer, parse_spec
from schuss.schedules import list_schedules
from tests.algorithms import TRACED

SETTINGS = Settings("constant", "digits", epochs=2, batch_size=32, seed=0, device="cpu")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Leave 64 images to learn from, and 10 to test on."""
    data = load_digits()
    small = replace(
        data,
        train_images=data.train_images[:64],
        train_labels=data.train_labels[:64],
        test_images=data.test_images[:10],
        test_labels=data.test_labels[:10],
    )
    monkeypatch.setattr(trials, "load_digits", lambda: small)
    return small


def outcome(name: str, accuracy: float, *, seed: int = 0, diverged: bool = False) -> Outcome:
    trial = Trial(name, f"{name}:lr=0.1", replace(SETTINGS, seed=seed))
    return Outcome(trial, 1 - accuracy, 0.5, accuracy, (2.0, 1 - accuracy), diverged)


def test_every_optimizer_has_a_recipe() -> None:
    assert list(RECIPES) == TRACED


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_one_that_the_optimizer_takes(name: str) -> None:
    parsed, options = parse_spec(RECIPES[name].spec(name, steps=100))
    create_optimizer(parsed, [torch.nn.Parameter(torch.zeros(2))], **options)
    assert RECIPES[name].schedule in list_schedules()


def test_a_sweep_sees_none_of_the_test_images_and_another_seed(few: Dataset) -> None:
    data = held_out(few)
    assert (len(data.train_labels), len(data.test_labels)) == (52, 12)
    assert torch.equal(torch.cat([data.train_images, data.test_images]), few.train_images)
    found = swept(["sgd", "prodigy"], epochs=1)
    assert [trial.spec.partition(",")[0] for trial in found] == [
        RECIPES["sgd"].spec("sgd", 1, factor).partition(",")[0] for factor in trials.FACTORS
    ]
    assert all(trial.validation for trial in found)
    assert not {t.settings.seed for t in found} & {t.settings.seed for t in reported(["sgd"], 1, 9)}


def test_an_outcome_is_that_of_the_weights_to_evaluate_with(few: Dataset) -> None:
    # A mean that keeps all of the past stays where it began.
    trial = Trial("gpa", "gpa:lr=0.1,eval_interp_coeff=1.0", SETTINGS)
    began = Trial("sgd", "sgd:lr=0.0", SETTINGS)
    assert train_one(trial).train_loss == pytest.approx(train_one(began).train_loss)
    assert train_one(trial).curve != train_one(began).curve


def test_what_is_in_the_file_is_not_trained_again(
    few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "outcomes.jsonl"
    asked = reported(["sgd"], epochs=1, seeds=2)
    first = list(outcomes(asked[:1], path, processes=1))
    both = list(outcomes(asked, path, processes=1))
    assert both[0] == first[0]
    assert both[0].train_loss != both[1].train_loss
    monkeypatch.setattr(trials, "train_one", None)
    assert list(outcomes(asked, path, processes=1)) == both


def test_the_rows_are_in_order_of_their_median_and_those_that_diverged_are_last() -> None:
    made = rows(
        [
            outcome("diverges", 0.99, diverged=True),
            *(outcome("good", value, seed=seed) for seed, value in enumerate((0.7, 0.98, 0.97))),
            *(outcome("fair", value, seed=seed) for seed, value in enumerate((0.96, 0.9, 0.99))),
        ]
    )
    assert [row.name for row in made] == ["good", "fair", "diverges"]
    lines = table(made, "all.svg").splitlines()
    assert lines[-3] == "| good | `lr=0.1` | constant | 0.03 [0.02 0.3] | 97.0 [70.0 98.0] |"
    assert lines[-1].endswith("| 99.0 [99.0 99.0] (1 diverged) |")


def test_a_sweep_marks_the_smallest_rate_among_the_good_ones() -> None:
    losses = {"0.1": 0.7, "0.3": 0.505, "0.9": 0.5, "2.7": float("nan")}
    base = outcome("sgd", 0.9)
    found = [
        replace(base, test_loss=loss, trial=replace(base.trial, spec=f"sgd:lr={rate},momentum=0.9"))
        for rate, loss in losses.items()
    ]
    assert sweep_table(found).endswith("| sgd | 0.1: 0.700, **0.3: 0.505**, 0.9: 0.500, 2.7: nan |")


def test_the_same_rows_make_the_same_figure(tmp_path: Path) -> None:
    made = rows([outcome("sgd", 0.9), outcome("adam", 0.8, diverged=True)])
    for name in ("a.svg", "b.svg"):
        write_figure(made, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_the_command_writes_the_table_and_the_figure(few: Dataset, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("\n".join(["before", *markers("all", "trained"), "after"]))
    options = ["--epochs", "1", "--seeds", "1", "--processes", "1", "--out", str(tmp_path)]
    chosen = ["--optimizer", "sgd", "--optimizer", "adahessian"]
    command = ["trained", *chosen, *options, "--markdown", str(page)]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0
    text = page.read_text()
    assert "| sgd | `lr=" in text
    assert "| adahessian | `lr=" in text
    assert "(page.svg)" in text
    assert page.with_suffix(".svg").read_text().startswith("<?xml")


def test_an_unknown_optimizer_is_an_error() -> None:
    done = CliRunner().invoke(app, ["trained", "--optimizer", "sgdd"])
    assert done.exit_code == 2
    assert "sgdd" in done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "the content is [], which is no mapping"),
        ("[" * 100_000, "its brackets are nested too deeply"),
        ("\udcff", "codec can't decode"),
        ("{}", "it has no trial"),
        ("trial.spec", "it has no trial.spec"),
        ("trial.settings", "it has no trial.settings"),
        ("trial.settings.seed", "it has no trial.settings.seed"),
        ("train_loss", "it has no train_loss"),
        ("curve", "it has no curve"),
    ],
    ids=lambda text: text[:20],
)
def test_a_line_that_is_no_outcome_is_told_before_any_training(
    line: str, message: str, few: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "outcomes.jsonl"
    sound = json.dumps(asdict(outcome("sgd", 0.9)))
    if line[0].isalpha():  # which field to leave out
        content = target = json.loads(sound)
        *parents, last = line.split(".")
        for key in parents:
            target = target[key]
        del target[last]
        line = json.dumps(content)
    path.write_text(f"{sound}\n{line}\n", errors="surrogateescape")
    before = path.read_bytes()
    command = ["trained", "--optimizer", "sgd", "--out", str(tmp_path), "--processes", "1"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"schuss: {path} is damaged in line 2: ")
    assert message in done.stderr
    assert done.stderr.endswith("; remove that line, and what it told of is trained again\n")
    assert path.read_bytes() == before


def test_a_file_in_the_way_is_told(few: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = ["trained", "--optimizer", "sgd", "--out", str(tmp_path / "file")]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 1
    assert done.stderr == f"schuss: cannot write to --out {tmp_path}/file: File exists\n"
