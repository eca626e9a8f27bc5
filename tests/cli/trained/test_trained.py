"""`schuss trained`: that nothing is left out, and that the tables and the figure are written."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schuss.cli.app import app
from schuss.cli.bench.markdown import markers
from schuss.cli.mnist.datasets import Dataset
from schuss.cli.mnist.model import seeded_model
from schuss.cli.mnist.settings import build_optimizer
from schuss.cli.trained import trials
from schuss.cli.trained.command import TASK_NAMES
from schuss.cli.trained.contenders import Contender, contenders
from schuss.cli.trained.document import rows, section, sweep_table
from schuss.cli.trained.figure import write_figure
from schuss.cli.trained.images import digits
from schuss.cli.trained.outcome import Outcome
from schuss.cli.trained.recipes import RECIPES
from schuss.cli.trained.tasks import TASKS
from schuss.cli.trained.trials import outcomes
from schuss.schedules import list_schedules
from tests.algorithms import EVERY
from tests.cli.trained.made import made_outcome


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["trained", *map(str, words)], catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def test_every_optimizer_has_a_recipe() -> None:
    assert list(RECIPES) == EVERY


def test_the_help_names_every_task() -> None:
    assert list(TASK_NAMES) == list(TASKS)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_one_that_the_optimizer_takes(name: str) -> None:
    build_optimizer(Contender(name).spec(steps=100), seeded_model(0))
    assert RECIPES[name].schedule in list_schedules()


def test_options_come_before_those_of_a_recipe() -> None:
    [contender] = contenders(["SGD:momentum=0.5,weight_decay=0.1"])
    assert contender.spec(10, power=1) == "sgd:lr=0.09,momentum=0.5,weight_decay=0.1"
    assert contender.is_swept
    [given] = contenders(["noam:lr=0.5"])
    assert given.spec(steps=200, power=1) == "noam:lr=0.5,warmup=20"
    assert not given.is_swept
    assert not Contender("prodigy").is_swept


def test_what_is_in_the_file_is_not_trained_again(
    few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "outcomes.jsonl"
    task, data = TASKS["digits"], digits(None)
    asked = [task.trial(Contender("sgd"), data, 1, seed, 0, sweep=False) for seed in (0, 1)]
    first = list(outcomes(asked[:1], path, processes=1))
    both = list(outcomes(asked, path, processes=1))
    assert both[0] == first[0]
    assert both[0].train_loss != both[1].train_loss
    monkeypatch.setattr(trials, "train_one", None)
    assert list(outcomes(asked, path, processes=1)) == both


def test_the_rows_are_in_order_of_their_median_and_those_that_diverged_are_last() -> None:
    made = rows(
        [
            made_outcome("diverges", 0.99, diverged=True),
            *(
                made_outcome("good", value, seed=seed)
                for seed, value in enumerate((0.7, 0.98, 0.97))
            ),
            *(
                made_outcome("fair", value, seed=seed)
                for seed, value in enumerate((0.96, 0.9, 0.99))
            ),
        ]
    )
    assert [row.name for row in made] == ["good", "fair", "diverges"]
    lines = section(made, [], "all.svg", "schuss trained").splitlines()
    assert lines[-3] == "| good | `lr=0.1` | constant | 0.03 [0.02 0.3] | 97.0 [70.0 98.0] |"
    assert lines[-1].endswith("| 99.0 [99.0 99.0] (1 diverged) |")


def test_a_comparison_is_in_order_of_the_test_loss_and_tells_the_time() -> None:
    exact = made_outcome("exact", 0.9, task="images", test_loss=0.4)
    likely = made_outcome("likely", 0.8, task="images", test_loss=0.3)
    slow = replace(likely, trial=replace(likely.trial, seed=1), milliseconds=80.0)
    made = rows([exact, slow, likely])
    assert [row.name for row in made] == ["likely", "exact"]
    lines = section(made, [], "x.svg", "schuss trained").splitlines()
    shown = "| 0.200 [0.200 0.200] | 0.300 [0.300 0.300] | 80.0 [80.0 80.0] | 7 |"
    assert lines[-2] == f"| likely | `lr=0.1` | constant {shown}"


def test_a_sweep_marks_the_smallest_rate_among_the_good_ones() -> None:
    losses = {"2.7": float("nan"), "0.1": 0.7, "0.9": 0.5, "0.3": 0.505}
    base = made_outcome("sgd", 0.9)
    found = [
        replace(base, test_loss=loss, trial=replace(base.trial, spec=f"sgd:lr={rate},momentum=0.9"))
        for rate, loss in losses.items()
    ]
    assert sweep_table(found).endswith("| sgd | 0.1: 0.700, **0.3: 0.505**, 0.9: 0.500, 2.7: nan |")


def test_the_same_rows_make_the_same_figure(tmp_path: Path) -> None:
    made = rows([made_outcome("sgd", 0.9), made_outcome("adam", 0.8, diverged=True)])
    for name in ("a.svg", "b.svg"):
        write_figure(made, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_the_command_writes_the_table_and_the_figure(few: Dataset, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("\n".join(["before", *markers("digits", "trained"), "after"]))
    chosen = ["--optimizer", "sgd", "--optimizer", "adahessian", "--optimizer", "muon"]
    options = ["--epochs", 1, "--seeds", 1, "--processes", 1, "--out", tmp_path]
    assert run(*chosen, *options, "--markdown", page)[0] == 0
    text = page.read_text()
    assert "    schuss trained --task digits --optimizer sgd --optimizer adahessian" in text
    assert "| sgd | `lr=0.03,momentum=0.9` |" in text
    assert "| adahessian | `lr=" in text
    assert "| muon | `lr=" in text
    assert "(page-digits.svg)" in text
    assert (tmp_path / "page-digits.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optimizer", "sgdd"], "--optimizer sgdd: there is no recipe; see `schuss list`"),
        (["--optimizer", "sgd:lr"], "--optimizer: cannot read 'sgd:lr'"),
        (["--optimizer", "sgd:momentun=0.9"], "momentun"),
        (["--optimizer", "sgd", "--optimizer", "SGD"], "--optimizer SGD is given twice"),
        (["--task", "figures"], "--task figures is none of digits, images, characters"),
        (["--task", "characters", "--optimizer", "sophia"], "no curvature is estimated for it"),
        (["--task", "characters", "--optimizer", "adahessian"], "no curvature is estimated"),
    ],
)
def test_what_cannot_be_trained_is_told_before_any_training(
    words: list[str], message: str, tmp_path: Path
) -> None:
    status, _, stderr = run(*words, "--out", tmp_path)
    assert status == 2
    assert message in stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "the content is [], which is no mapping"),
        ("[" * 100_000, "its brackets are nested too deeply"),
        ("\udcff", "codec can't decode"),
        ("{}", "it has no trial"),
        ("trial.spec", "it has no trial.spec"),
        ("trial.seed", "it has no trial.seed"),
        ("train_loss", "it has no train_loss"),
        ("curve", "it has no curve"),
        ("trial.variant", "it has no trial.variant"),
        ("kept", "it has no kept"),
    ],
    ids=lambda text: text[:20],
)
def test_a_line_that_is_no_outcome_is_told_before_any_training(
    line: str, message: str, few: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "outcomes.jsonl"
    sound = json.dumps(asdict(made_outcome("sgd", 0.9)))
    if line[0].isalpha():  # which field to leave out
        content = target = json.loads(sound)
        *parents, last = line.split(".")
        for key in parents:
            target = target[key]
        del target[last]
        line = json.dumps(content)
    path.write_text(f"{sound}\n{line}\n", errors="surrogateescape")
    before = path.read_bytes()
    status, stdout, stderr = run("--optimizer", "sgd", "--out", tmp_path, "--processes", 1)
    assert (status, stdout) == (1, "")
    assert stderr.startswith(f"schuss: {path} is damaged in line 2: ")
    assert message in stderr
    assert stderr.endswith("; remove that line, and what it told of is trained again\n")
    assert path.read_bytes() == before


def test_an_outcome_is_read_as_it_was_written(tmp_path: Path) -> None:
    kept = {"momentum_buffer": "int8"}
    expected: Outcome = made_outcome("sgd", 0.9, diverged=True, variant="lr=1", kept=kept)
    (tmp_path / "x").write_text(json.dumps(asdict(expected)))
    assert list(outcomes([expected.trial], tmp_path / "x", processes=1)) == [expected]


def test_a_file_in_the_way_is_told(few: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, _, stderr = run("--optimizer", "sgd", "--out", tmp_path / "file")
    assert status == 1
    assert stderr == f"schuss: cannot write to --out {tmp_path}/file: File exists\n"
