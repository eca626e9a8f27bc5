"""Variants of an optimizer beside the optimizer alone: how they are trained, and what is told."""

import math
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from schuss import AdamW
from schuss.cli.app import app
from schuss.cli.bench.markdown import markers
from schuss.cli.mnist.datasets import Dataset
from schuss.cli.mnist.model import seeded_model
from schuss.cli.trained import trials
from schuss.cli.trained.comparison import comparison_section, difference
from schuss.cli.trained.contenders import Contender
from schuss.cli.trained.kept import bytes_kept, kept_in_fewer
from schuss.cli.trained.outcome import Outcome
from schuss.cli.trained.tasks import TASKS
from schuss.cli.trained.text import Text
from schuss.cli.trained.transformer import LENGTH, seeded_transformer
from schuss.cli.trained.trials import train_one
from schuss.cli.trained.variants import Variant
from tests.cli.trained.made import made_outcome

EIGHT = "state_storage='8bit'"
HALF = "dtype='bfloat16'"
IN_8_BITS = {"exp_avg": "int8", "exp_avg_sq": "uint8"}


def test_a_difference_is_paired_by_seed_and_in_spreads_of_the_optimizer_alone() -> None:
    found = difference([1.0, 2.0, 3.0], [1.5, 2.5, 5.0])
    # 0.5, 0.5 and 2: the mean is 1, and the deviations of the sample are root(0.75) and 1.
    assert list(found) == pytest.approx([1.0, math.sqrt(0.75), 1.0])
    assert difference([1.0, 1.0], [1.0, 1.0]).spreads == 0
    assert math.isnan(difference([1.0, 2.0], [1.0, math.inf]).deviation)


def compared(task: str, losses: dict[str, tuple[float, ...]]) -> list[str]:
    """Return the lines of a section on one optimizer with given test losses by variant and seed."""
    outcomes = [
        made_outcome(
            "adamw", 1 - of_one[seed] / 10, task=task, seed=seed, test_loss=of_one[seed],
            variant=variant, diverged=math.isinf(of_one[seed]),
            kept={"exp_avg": "int8"} if variant == EIGHT else None,
        )
        for seed in range(3)
        for variant, of_one in losses.items()
    ]  # fmt: skip
    return comparison_section(outcomes, "schuss trained").splitlines()


def test_a_comparison_says_what_is_within_the_spread_of_the_seeds() -> None:
    losses = {
        "": (1.0, 2.0, 3.0),
        EIGHT: (1.9, 2.9, 3.9),
        "lr=1": (0.5, 0.5, 1.0),
        "lr=2": (2.0, 3.0, 4.6),
        "lr=3": (math.inf, 2.0, math.inf),
    }
    table = compared("characters", losses)[-5:]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]
    assert [row[0] for row in cells] == ["adamw", *(f"`{each}`" for each in list(losses)[1:])]
    assert [row[1] for row in cells] == ["nothing", "`exp_avg` as int8", *["nothing"] * 3]
    assert cells[0][2:] == ["12.00", "0.200 ± 0.100", "", "2.000 ± 1.000", "", ""]
    assert cells[1][5:] == ["2.900 ± 1.000", "+0.9000 ± 0.0000", "+0.90, within"]
    assert cells[1][4] == "+0.90, within"
    assert cells[2][6:] == ["-1.3333 ± 0.7638", "-1.33, better"]
    assert cells[3][7] == "+1.20, **worse**"
    assert cells[4][3:] == ["**diverged** in 2 of 3", "", "", "", ""]


def test_a_survey_says_who_trains_to_the_same_bits_and_who_is_far() -> None:
    outcomes = [
        made_outcome(name, accuracy - loss * seed, variant=variant, seed=seed, kept=kept)
        for name, variant, accuracy, loss in (
            ("sm3", "", 0.9, 0.02),
            ("sm3", EIGHT, 0.9, 0.02),
            ("adamw", "", 0.9, 0.02),
            ("adamw", EIGHT, 0.89, 0.02),
            ("lion", "", 0.9, 0.02),
            ("lion", EIGHT, 0.8, 0.02),
        )
        for kept in [{"exp_avg": "int8"} if variant and name != "sm3" else {}]
        for seed in (0, 1, 2)
    ]
    *_, adamw, lion, sm3, _, told = comparison_section(outcomes, "schuss trained").splitlines()
    assert adamw == "| adamw | `exp_avg` | 0.12, 88.0 | 0.13, 87.0 |"
    assert lion == "| lion | `exp_avg` | 0.12, 88.0 | **0.22, 78.0** |"
    assert sm3 == "| sm3 | none | 0.12, 88.0 | the same |"
    assert told.startswith(f"- `{EIGHT}`: 1 of 3 train to the same bits.")
    # Training losses of 0.13 and 0.22 for 0.12, and accuracies 1 and 10 points lower.
    assert "the training loss is 1.46 times as large, and the accuracy differs by -5.50" in told
    assert "more than 2 spreads for 1 of them, and higher for 0; the usual spread is 2.00" in told


def test_a_spread_is_that_of_the_optimizer_if_it_is_larger_than_the_usual_one() -> None:
    outcomes = [
        made_outcome(name, accuracy + spread * seed, variant=variant, seed=seed)
        for seed in (-1, 0, 1)
        for name, spread in (("adam", 0.01), ("adamw", 0.01), ("lion", 0.08))
        for variant, accuracy in (("", 0.8), (EIGHT, 0.7))
    ]
    *_, adam, _, lion, _, told = comparison_section(outcomes, "schuss trained").splitlines()
    assert adam.endswith("| **0.3, 70.0** |")
    assert lion.endswith("| 0.3, 70.0 |")
    assert "for 2 of them, and higher for 0; the usual spread is 1.00" in told


@pytest.mark.parametrize(
    ("dtype", "options", "kept", "size"),
    [
        (torch.float32, {}, {}, 12),
        (torch.float32, {"state_storage": "8bit"}, IN_8_BITS, 6.125),
        (torch.float32, {"state_storage": {"exp_avg": "bf16"}}, {"exp_avg": "bfloat16"}, 10),
        (torch.bfloat16, {}, {}, 6),
        (torch.bfloat16, {"master_weights": 24}, {}, 11),
    ],
)
def test_the_memory_at_the_end_is_told(
    dtype: torch.dtype, options: dict[str, object], kept: dict[str, str], size: float
) -> None:
    param = torch.nn.Parameter(torch.ones(4096, dtype=dtype))
    optimizer = AdamW([param], foreach=False, **options)
    param.grad = torch.ones_like(param)
    optimizer.step()
    assert kept_in_fewer(optimizer) == kept
    assert bytes_kept(optimizer) == size


def trained(task: str, data: object, variant: str) -> Outcome:
    chosen = TASKS[task], Contender("adamw"), Variant(variant)
    return train_one(chosen[0].trial(chosen[1], data, 1, 0, 0, sweep=False, variant=chosen[2]))


def test_losses_are_computed_in_float32() -> None:
    images, characters = torch.zeros(2, 1, 28, 28), torch.zeros(2, LENGTH, dtype=torch.int64)
    assert seeded_model(0).bfloat16()(images).dtype is torch.float32
    assert seeded_transformer(9, 0).bfloat16()(characters).dtype is torch.float32


@pytest.mark.parametrize("task", ["digits", "characters"])
def test_a_variant_is_trained_as_it_says(task: str, few: Dataset, little: Text) -> None:
    data = TASKS[task].data(None, validation=False)
    alone, eight, half = (trained(task, data, each) for each in ("", EIGHT, HALF))
    assert (alone.kept, half.kept) == ({}, {})
    assert eight.kept == IN_8_BITS
    assert (alone.bytes, half.bytes) == (12, 6)
    # Biases, norms and the smallest of the matrices stay in float32.
    assert 6.125 < eight.bytes < 6.4
    losses = [each.test_loss for each in (alone, eight, half)]
    assert len(set(losses)) == 3
    assert losses == pytest.approx([alone.test_loss] * 3, rel=0.01)


def test_the_command_compares_with_the_optimizer_alone(
    few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text("\n".join(["before", *markers("digits", "trained"), "after"]))
    command = ["trained", "--task", "digits", "--optimizer", "adamw", "--optimizer", "adagrad"]
    command += ["--with", EIGHT, "--epochs", "1", "--seeds", "2"]
    rest = ["--processes", "1", "--out", str(tmp_path), "--markdown", str(page)]
    done = CliRunner().invoke(app, [*command, *rest], catch_exceptions=False)
    assert done.exit_code == 0
    text = page.read_text()
    assert f'--optimizer adagrad --with "{EIGHT}" --epochs 1' in text
    assert "1 epochs, each of all images in batches of 32; 2 seeds" in text
    assert "| adamw | `exp_avg`, `exp_avg_sq` |" in text
    assert text.count("| the same |") == 1
    assert not list(tmp_path.glob("*.svg"))
    monkeypatch.setattr(trials, "train_one", None)
    CliRunner().invoke(app, [*command, *rest], catch_exceptions=False)
    assert page.read_text() == text


def test_variants_stand_in_the_order_in_which_they_were_asked_for(
    few: Dataset, tmp_path: Path
) -> None:
    command = ["trained", "--optimizer", "adamw", "--epochs", "1", "--seeds", "2"]
    command += ["--processes", "1", "--out", str(tmp_path)]
    CliRunner().invoke(app, [*command, "--with", EIGHT], catch_exceptions=False)
    done = CliRunner().invoke(app, [*command, "--with", HALF, "--with", EIGHT])
    assert f"| alone | `{HALF}` | `{EIGHT}` |" in done.stdout
    whole = CliRunner().invoke(app, [*command, "--with", HALF, "--with", EIGHT])
    assert whole.stdout == done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--with", "rounding"], "--with: cannot read 'optimizer:rounding'"),
        (["--with", "dtype='float16'"], "--with dtype='float16' is none of float32, bfloat16"),
        (["--with", "lr=1", "--with", "lr=1"], "--with 'lr=1' is given twice"),
        (["--with", ""], "--with '' is given twice"),
        (["--with", "state_storage='7bit'"], "7bit"),
        (["--with", "lr=1", "--seeds", "1"], "--with compares by the spread of the seeds"),
    ],
)
def test_a_variant_that_cannot_be_is_told_before_any_training(
    words: list[str], message: str, tmp_path: Path
) -> None:
    command = ["trained", "--optimizer", "adamw", "--out", str(tmp_path), *words]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
