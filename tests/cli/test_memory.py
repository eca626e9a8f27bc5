from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import schuss
from schuss.cli import memory
from schuss.cli.app import app
from schuss.cli.errors import OptionError
from schuss.cli.memory import PRESETS, Model, Preset, as_markdown, as_text
from schuss.cli.skeletons import MODELS, named, of_size


def told(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["memory", *arguments])


def test_the_bytes_of_a_model_are_told_by_name_and_by_size():
    result = told("adamw", "--model", "gpt2")
    assert result.exit_code == 0, result.output
    assert "AdamW, 148 parameters, 124,439,808 numbers" in result.output
    assert re.search(r"^  exp_avg_sq +497.76 MB +4.00 B +0 B$", result.output, re.MULTILINE)
    result = told("lion:weight_decay=0.1", "--parameters", "7B", "--dtype", "bf16")
    assert "7,000,000,000 numbers" in result.output
    assert re.search(r"^state +14.00 GB +2.00 B", result.output, re.MULTILINE)
    result = told("sgd", "--parameters", "1K", "--dtype", "bf16", "--master-weights")
    assert re.search(r"^most in a step +\S+ kB +6", result.output, re.MULTILINE)


def test_the_table_has_a_row_for_each_optimizer_and_columns_for_each_preset(tmp_path, monkeypatch):
    some = [info for name in ("adamw", "muon") for info in schuss.list_optimizers(name)]
    monkeypatch.setattr(memory, "list_optimizers", lambda: some)
    document = tmp_path / "memory.md"
    begin, end = "<!-- begin schuss memory: all -->", "<!-- end schuss memory: all -->"
    document.write_text(f"Before.\n{begin}\n{end}\nAfter.\n")
    result = told("--model", "mnist", "--markdown", str(document))
    assert result.exit_code == 0, result.output
    text = document.read_text()
    assert text.startswith(f"Before.\n{begin}\n\n    schuss memory --model mnist --markdown PATH\n")
    assert text.endswith(f"|\n\n{end}\nAfter.\n")
    rows = [line for line in text.splitlines() if line.startswith("| [")]
    adamw, muon = (line.strip("| ").split(" | ") for line in rows)
    # 8 bytes of state in float32, fewer by a preset, where biases stay as they are; half of it
    # beside bfloat16; with all bits of the weights 2 more.
    assert adamw[1::2] == ["8.00", "4.01", "2.14", "1.08", "4.00", "10.00", "6.90 MB"]
    assert len(muon) == len(adamw) == 2 + 2 * len(PRESETS)


def test_the_documentation_has_a_row_for_every_optimizer():
    text = (Path(__file__).parents[2] / "docs" / "memory.md").read_text()
    rows = re.findall(r"^\| \[(\w+)\]\(", text, re.MULTILINE)
    # Else run: schuss memory --model gpt2 --markdown docs/memory.md
    assert rows == [info.name for info in schuss.list_optimizers()]


def test_rows_stand_in_columns_and_lead_to_pages():
    rows = [("optimizer", "state"), ("adamw", "8.00"), ("sgd", "0.00")]
    assert as_text(rows) == "optimizer  state\nadamw       8.00\nsgd         0.00"
    assert as_markdown(rows).splitlines()[1:] == [
        "| --- | --: |",
        "| [adamw](../src/schuss/optimizers/adamw.py) | 8.00 |",
        "| [sgd](../src/schuss/optimizers/sgd.py) | 0.00 |",
    ]


def test_embeddings_of_a_model_are_left_to_the_other_part_of_an_optimizer_of_matrices():
    found = Model("gpt2").memory("muon", Preset("", torch.float32))
    embeddings = 4 * 768 * (50257 + 1024)
    vectors = 4 * 768 * (12 * (4 + 3 + 1 + 4 + 1) + 2)
    assert found.state["exp_avg"].predicted == embeddings + vectors
    assert found.state["momentum_buffer"].predicted == 4 * 12 * 768 * 768 * (3 + 1 + 4 + 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["adamw", "--model", "vgg"], "there is no model 'vgg'; there are mnist, resnet50, gpt2"),
        (["adamv"], "no optimizer 'adamv'; did you mean adam"),
        (["adamw:lr=-1"], "lr"),
        (["adamw", "--parameters", "many"], "must be a number such as 350M"),
        (["adamw", "--dtype", "int8"], "there is no dtype 'int8'; there are float32"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(arguments, message):
    result = told(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_models_have_no_memory_and_the_shapes_of_their_name():
    for name, count in (("mnist", 431_080), ("resnet50", 25_557_032), ("gpt2", 124_439_808)):
        model = named(name, torch.bfloat16)
        assert sum(param.numel() for param in model.parameters()) == count
        assert {(param.device.type, param.dtype) for param in model.parameters()} == {
            ("meta", torch.bfloat16)
        }
    assert len(MODELS) == 3


def test_a_type_of_model_of_transformers_is_built_from_its_defaults():
    pytest.importorskip("transformers")
    model = named("distilbert", torch.float32)
    assert sum(param.numel() for param in model.parameters()) == 66_362_880
    assert all(param.is_meta for param in model.parameters())


@pytest.mark.parametrize(
    ("size", "count"), [("1000", 1000), ("1.5k", 1500), ("124M", 124_000_000), ("7B", 7 * 10**9)]
)
def test_a_model_of_a_size_has_so_many_numbers_in_matrices(size, count):
    model = of_size(size, torch.float32)
    assert sum(param.numel() for param in model.parameters()) == count
    assert all(param.numel() < 1024**2 for param in model.parameters() if param.dim() < 2) or (
        count >= 64 * 4096**2
    )


def test_a_size_of_nothing_is_refused():
    with pytest.raises(OptionError, match="must be a number"):
        of_size("0", torch.float32)


def test_the_state_may_be_kept_in_fewer_bytes():
    command = ["memory", "adamw", "--parameters", "10M", "--state-storage", "8bit"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert re.search(r"exp_avg +\S+ MB +1\.06 B", result.output)
