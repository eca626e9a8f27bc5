"""`schuss bench`, from the command line to the files that it leaves."""

import json
import platform
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from typer.testing import CliRunner

import schuss
from schuss.cli.app import app
from schuss.cli.bench.contenders import CONTENDERS
from schuss.cli.bench.markdown import markers
from schuss.cli.bench.workloads import WORKLOADS, Workload
from tests.cli.bench.records import HEAT, record_of, result_of


class Done(NamedTuple):
    status: int
    output: str
    error: str


def bench(*arguments: object) -> Done:
    texts = ["bench", *map(str, arguments)]
    result = CliRunner().invoke(app, texts, catch_exceptions=False)
    return Done(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(
        "\n".join(["before", *markers("step"), *markers("more"), *markers("loop"), "after"])
    )
    return path


def test_every_optimizer_has_a_row_beside_adamw(small: Workload, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("\n".join(markers("optimizers")))
    options = ["--rounds", 2, "--threads", 1, "--output", tmp_path, "--markdown", page]
    # ADOPT keeps its parameters in the first step, and moves more in all others.
    chosen = ["--optimizer", "sgd:momentum=0.9", "--optimizer", "dog", "--optimizer", "adopt"]
    done = bench("optimizers", "--workload", "small", *chosen, *options)
    assert (done.status, done.error) == (0, "")
    record = json.loads((tmp_path / "bench-optimizers.json").read_text())
    assert record["command"].endswith("--optimizer adopt --rounds 2 --threads 1")
    (result,) = record["results"]
    moved = {row["optimizer"]: row["bytes_per_number"] for row in result["optimizers"]}
    assert moved == {"sgd:momentum=0.9": 20, "dog": 24, "adopt": 28, "adamw": 28}
    for row in result["optimizers"]:
        ratio, scale = row["over_adamw"]["median"], 28 / row["bytes_per_number"]
        assert row["per_byte"]["median"] == pytest.approx(ratio * scale)
        scale = 16 / row["bytes_read"]
        assert row["per_byte_read"]["median"] == pytest.approx(ratio * scale)
    lines = page.read_text().splitlines()
    assert any(line.startswith("| sgd momentum=0.9 | 1 | 20 | 12 | ") for line in lines)
    assert any(line.startswith("| dog | 2 | 24 | 20 | ") for line in lines)
    shown = bench("show", tmp_path / "bench-optimizers.json")
    assert "two small tensors: 2 tensors, 17 parameters" in shown.output


def test_optimizers_are_compared_with_adamw_that_keeps_its_state_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WORKLOADS, "matrix", Workload("matrix", "one matrix", ((64, 64),)))
    chosen = ["--optimizer", "lion", "--optimizer", "adagrad", "--state-storage", "8bit"]
    options = ["--workload", "matrix", "--rounds", 2, "--threads", 1, "--output", tmp_path]
    done = bench("optimizers", *chosen, *options)
    assert (done.status, done.error) == (0, "")
    assert "one matrix, state kept as 8bit" in done.output
    record = json.loads((tmp_path / "bench-optimizers.json").read_text())
    assert record["command"].endswith("--threads 1 --state-storage 8bit")
    (result,) = record["results"]
    moved = {row["optimizer"]: row["bytes_per_number"] for row in result["optimizers"]}
    # A code is one byte, and a scale of two bytes is for 32 numbers; both are read and written.
    assert moved == {"lion": 12 + 2 * (1 + 2 / 32), "adamw": 12 + 4 * (1 + 2 / 32)}
    assert result["left_out"] == {"adagrad": "8bit changes nothing of its state"}
    (mine, _) = result["optimizers"]
    scale = moved["adamw"] / moved["lion"]
    assert mine["per_byte"]["median"] == pytest.approx(mine["over_adamw"]["median"] * scale)


def test_a_preset_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    done = bench("optimizers", "--state-storage", "7bit", "--output", tmp_path)
    assert done.status == 2
    assert "--state-storage 7bit is none of bf16, 8bit, 4bit" in done.error


def test_an_optimizer_without_a_kernel_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convolution = Workload("convolution", "one convolution", ((2, 3, 3, 3),))
    monkeypatch.setitem(WORKLOADS, convolution.name, convolution)
    options = ["--rounds", 2, "--threads", 1, "--output", tmp_path, "--optimizer", "sm3"]
    done = bench("optimizers", "--workload", "convolution", *options)
    assert (done.status, done.error) == (0, "")
    (result,) = json.loads((tmp_path / "bench-optimizers.json").read_text())["results"]
    assert "fused=True" in result["left_out"]["sm3"]
    assert [row["optimizer"] for row in result["optimizers"]] == ["adamw"]


def test_steps_leave_a_record_a_figure_and_tables(
    small: Workload, tmp_path: Path, page: Path
) -> None:
    out = tmp_path / "runs" / "bench"
    options = ["--rounds", 2, "--threads", 1, "--no-cold", "--output", out, "--markdown", page]
    done = bench("step", "--workload", "small", *options)
    assert (done.status, done.error) == (0, "")
    names = {path.name for path in out.iterdir()}
    assert names == {"bench-step.json", "bench-step.png", "bench-step.svg"}
    assert "two small tensors: 2 tensors, 17 parameters" in done.output
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after")
    assert "### two small tensors" in text

    record = json.loads((out / "bench-step.json").read_text())
    command = (
        "schuss bench step --workload small --optimizer adamw --rounds 2 --threads 1 --no-cold"
    )
    assert record["command"] == command
    assert record["settings"] == {
        "rounds": 2,
        "threads": 1,
        "block": 0.04,
        "seed": 0,
        "device": "cpu",
    }
    assert record["versions"]["schuss"] == schuss.__version__
    assert record["versions"]["torch"] == torch.__version__
    assert record["versions"]["python"] == platform.python_version()
    assert record["versions"]["numba"]
    assert record["machine"]["processor"]
    assert record["date"][:2] == "20"
    (result,) = record["results"]
    rows = {row["name"]: row for row in result["contenders"]}
    assert result["left_out"] == {}
    assert set(rows) == set(CONTENDERS) - {
        "torch-compile",
        "schuss-adamw",
        "torch-chain",
        "schuss-chain",
    }
    for row in rows.values():
        assert row["step_ms"]["low"] <= row["step_ms"]["median"] <= row["step_ms"]["high"]
        assert row["first_step_ms"] > 0
        assert row["over_floor"]["median"] > 0
    runners = result["heats"][0]["runners"]
    assert {len(runner["rounds_ms"]) for runner in runners.values()} == {2}


def test_contenders_run_on_another_device(small: Workload, tmp_path: Path) -> None:
    # A device without memory, which every machine has.
    options = ["--rounds", 1, "--no-cold", "--output", tmp_path, "--device", "meta"]
    done = bench("step", "--workload", "small", *options)
    assert (done.status, done.error) == (0, "")
    record = json.loads((tmp_path / "bench-step.json").read_text())
    assert record["command"].endswith(" --no-cold --device meta")
    assert record["machine"]["device"] == record["settings"]["device"] == "meta"
    (result,) = record["results"]
    assert {"schuss-foreach", "torch-foreach", "floor"} <= {x["name"] for x in result["contenders"]}
    assert "there is no kernel for device meta" in result["left_out"]["schuss-fused"]


def test_a_device_that_there_is_not_is_refused(small: Workload, tmp_path: Path) -> None:
    done = bench("step", "--device", "abacus", "--output", tmp_path)
    assert done.status == 2
    assert "--device abacus cannot be used" in done.error
    assert "--device cpu can" in done.error


def test_another_optimizer_is_compared_with_our_adamw(small: Workload, tmp_path: Path) -> None:
    options = ["--workload", "small", "--rounds", 1, "--no-cold", "--output", tmp_path]
    spec = "sgd:lr=0.1,momentum=0.9"
    done = bench("step", "--optimizer", spec, "--contender", "schuss-loop", *options)
    assert (done.status, done.error) == (0, "")
    (result,) = json.loads((tmp_path / "bench-step.json").read_text())["results"]
    assert (result["optimizer"], result["states"]) == (spec, 1)
    names = [row["name"] for row in result["contenders"]]
    assert names == ["torch-fused", "schuss-loop", "schuss-adamw", "floor"]


def test_every_section_has_its_own_record_and_figure(
    small: Workload, tmp_path: Path, page: Path
) -> None:
    out = tmp_path / "bench"
    options = ["--workload", "small", "--contender", "floor", "--rounds", 1, "--no-cold"]
    bench("step", *options, "--output", out, "--markdown", page)
    bench("step", *options, "--output", out, "--markdown", page, "--section", "more")
    names = {path.stem for path in out.iterdir()}
    assert names == {"bench-step", "bench-more"}


def test_a_record_can_be_shown_again(small: Workload, tmp_path: Path, page: Path) -> None:
    options = ["--workload", "small", "--contender", "floor", "--rounds", 1, "--no-cold"]
    first = bench("step", *options, "--output", tmp_path)
    (tmp_path / "bench-step.png").unlink()
    again = bench("show", tmp_path / "bench-step.json", "--markdown", page)
    assert (again.status, again.error) == (0, "")
    assert again.output.strip() in first.output
    assert (tmp_path / "bench-step.png").exists()
    assert "schuss bench step --workload small" in page.read_text()


def test_training_leaves_a_record_and_a_table(
    tmp_path: Path, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schuss.cli.bench.launch._LOOP_BLOCK", 0.001)
    options = ["--workload", "mnist", "--rounds", 2, "--output", tmp_path, "--markdown", page]
    done = bench("loop", *options)
    assert (done.status, done.error) == (0, "")
    record = json.loads((tmp_path / "bench-loop.json").read_text())
    (result,) = record["results"]
    assert [row["name"] for row in result["contenders"]] == ["torch-fused", "schuss-fused"]
    assert result["contenders"][1]["over_torch_fused"]["median"] > 0
    assert "schuss fused" in done.output
    assert "### MNIST CNN, 64 images" in page.read_text()


@pytest.mark.parametrize("command", ["step", "loop"])
@pytest.mark.parametrize("option", ["workload", "contender"])
def test_a_name_that_there_is_not_brings_the_list(
    command: str, option: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = bench(command, f"--{option}", "mnits", "--output", out)
    assert (done.status, done.output) == (2, "")
    known = {"workload": "mnist, ", "contender": "torch-loop, torch-foreach, torch-fused, "}
    assert done.error.startswith(f"schuss: --{option} mnits is none of {known[option]}")
    assert not out.exists()


def test_an_optimizer_that_there_is_not_is_told(tmp_path: Path) -> None:
    done = bench("step", "--optimizer", "adamv", "--output", tmp_path)
    assert done.status == 2
    assert "did you mean adam" in done.error


def test_a_document_without_the_section_is_told_before_anything_is_measured(
    tmp_path: Path, page: Path
) -> None:
    options = ["--markdown", page, "--section", "others", "--output", tmp_path / "out"]
    done = bench("step", *options)
    assert (done.status, done.output) == (1, "")
    assert "has no section 'others'" in done.error
    assert not (tmp_path / "out").exists()


def test_what_is_no_record_is_told(tmp_path: Path) -> None:
    path = tmp_path / "bench-step.json"
    assert bench("show", path).error == f"schuss: cannot read {path}: No such file or directory\n"
    for text in ("{", "[]", '{"format": "another"}'):
        path.write_text(text)
        done = bench("show", path)
        assert done.status == 1
        assert done.error == f"schuss: {path} is no record of this version of `schuss bench`\n"


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = bench("step", "--output", tmp_path / "file" / "out")
    assert done.status == 1
    assert "cannot write to" in done.error


SOUND = record_of(result_of(HEAT))
PLACES = [
    *((key,) for key in ("machine", "versions", "settings", "results", "date", "command")),
    *(("results", 0, key) for key in ("optimizer", "workload", "contenders", "left_out", "heats")),
    *(("results", 0, "workload", key) for key in ("name", "title", "numbers")),
    *(("results", 0, "contenders", 0, key) for key in ("title", "step_ms")),
    ("results", 0, "contenders", 0, "step_ms", "median"),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
@pytest.mark.parametrize("value", ["removed", [], "[/red]", "$\\x{$"], ids=str)
def test_a_record_that_was_changed_by_hand_is_shown_or_told(
    place: tuple[Any, ...], value: object, tmp_path: Path, page: Path
) -> None:
    # Whatever a loop's record has, a step's has too; its figure would take half a second.
    record = json.loads(json.dumps(SOUND)) | {"kind": "loop"}
    *parents, last = place
    target = record
    for key in parents:
        target = target[key]
    target[last] = value
    if value == "removed":
        del target[last]
    path, before = tmp_path / "record.json", page.read_bytes()
    path.write_text(json.dumps(record))
    done = bench("show", path, "--markdown", page, "--section", "loop")
    if done.status:
        assert (done.status, done.output) == (1, "")
        assert done.error.startswith(f"schuss: {path} is damaged, or was changed by hand (")
        assert done.error.count("\n") == 1
        assert page.read_bytes() == before
    else:
        assert done.error == ""
        assert value != "removed" or last in ("left_out", "date")


@pytest.mark.parametrize(
    "change",
    [
        {"results": []},
        {"results": 5},
        {"machine": {"processor": "$\\x{$"}},
        {"settings": None},
    ],
    ids=str,
)
def test_a_record_that_cannot_be_drawn_leaves_nothing(
    change: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(SOUND | change))
    done = bench("show", path)
    assert (done.status, done.output) == (1, "")
    assert done.error.startswith(f"schuss: {path} is damaged, or was changed by hand (")
    assert done.error.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("section", ["../up", "a/b", "", "--><script>", "\0"])
def test_a_section_is_called_what_files_can_be_called(section: str, tmp_path: Path) -> None:
    done = bench("show", tmp_path / "x.json", "--markdown", tmp_path / "p.md", "--section", section)
    assert (done.status, done.output) == (2, "")
    assert "is no name for files and markers" in done.error


def test_files_in_the_way_are_told(small: Workload, tmp_path: Path, page: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(SOUND))
    (tmp_path / "record.png" / "inside").mkdir(parents=True)
    done = bench("show", path)
    assert (done.status, done.output) == (1, "")
    assert done.error == f"schuss: cannot write to {tmp_path}/record.png: Is a directory\n"
    page.write_bytes(b"\xff")
    done = bench("show", path, "--markdown", page)
    assert done.error == f"schuss: {page} is no text in UTF-8: invalid start byte\n"
