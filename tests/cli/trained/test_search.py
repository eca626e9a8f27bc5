"""The search for learning rates, and the comparison that follows it."""

import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from schuss.cli.app import app
from schuss.cli.bench.markdown import markers
from schuss.cli.trained import trials
from schuss.cli.trained.contenders import Contender
from schuss.cli.trained.curves import draw
from schuss.cli.trained.document import rows
from schuss.cli.trained.outcome import Outcome, Trial
from schuss.cli.trained.search import FURTHEST, Search, further
from schuss.cli.trained.tasks import TASKS
from schuss.cli.trained.text import Text
from tests.cli.trained.made import made_outcome


def searched(loss_at: dict[int, float], default: float = math.nan) -> list[int]:
    """Return the powers in the order in which a search tries them."""
    tried: dict[int, float] = {}
    while wanted := further(tried):
        tried |= {power: loss_at.get(power, default) for power in wanted}
    return list(tried)


def test_a_search_goes_on_while_the_best_is_at_the_edge() -> None:
    assert searched({-1: 0.5, 0: 0.4, 1: 0.6}) == [-1, 0, 1]
    assert searched({-1: 0.5, 0: 0.4, 1: 0.3, 2: 0.2, 3: 0.9}) == [-1, 0, 1, 2, 3]
    assert searched({-2: 0.7, -1: 0.5, 0: math.nan, 1: math.inf}) == [-1, 0, 1, -2]


def test_of_rates_that_are_alike_the_search_ends_at_the_smallest() -> None:
    assert searched({-3: 0.45, -2: 0.305, -1: 0.302, 0: 0.3, 1: 0.3}) == [-1, 0, 1, -2, -3]


def test_a_search_has_an_end() -> None:
    assert searched({}) == [-1, 0, 1, *range(-2, -FURTHEST - 1, -1)]


def test_contenders_are_searched_for_each_by_itself(little: Text) -> None:
    swept = [Contender("adamw"), Contender("sgd:momentum=0.5")]
    search = Search(TASKS["characters"], swept, little, epochs=1)
    counts = []
    for wanted in search.rounds():
        counts.append(len(wanted))
        for trial in wanted:
            best = 0.008 if trial.contender == "adamw" else 0.003
            distance = abs(math.log(trial.rate / best))
            search.add(made_outcome(trial.contender, 0.9, test_loss=distance, trial=trial))
    # AdamW is best at the third of its rates, and SGD at one that comes in the second round.
    assert counts == [6, 2, 1]
    assert [search.powers(each, 2) for each in swept] == [[1, 0], [-2, -3]]
    assert search.powers(Contender("prodigy"), 2) == [0]


def test_the_command_sweeps_and_compares(
    little: Text, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Trial] = []

    def trained(trial: Trial, data_dir: Path | None = None) -> Outcome:
        seen.append(trial)
        name = trial.contender
        loss = 2 + abs(math.log(trial.rate / 0.01)) + 0.01 * trial.seed * (not trial.validation)
        return made_outcome(name, 0.5, test_loss=loss, trial=trial)

    monkeypatch.setattr(trials, "train_one", trained)
    page = tmp_path / "page.md"
    page.write_text("\n".join(["before", *markers("characters", "trained"), "after"]))
    command = ["trained", "--task", "characters", "--optimizer", "adamw", "--optimizer", "muon"]
    command += ["--optimizer", "lion:lr=1e-3", "--seeds", "3", "--sweep", "--best", "2"]
    rest = ["--processes", "1", "--out", str(tmp_path), "--markdown", str(page)]
    done = CliRunner().invoke(app, [*command, *rest], catch_exceptions=False)
    assert done.exit_code == 0
    assert not [trial for trial in seen if trial.contender.startswith("lion") and trial.validation]
    reported = [trial for trial in seen if not trial.validation]
    assert len(reported) == 3 * (2 + 2 + 1)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter")
    assert f"    schuss {' '.join(command)} --markdown PATH" in text
    assert "3 optimizers, a transformer of a million parameters" in text
    assert "| adamw | `lr=0.009` | cosine:warmup=1 |" in text
    assert "| lion:lr=1e-3 | `lr=0.001` |" in text
    assert "**0.009: 2.105**" in text
    assert (tmp_path / "page-characters.svg").read_text().startswith("<?xml")
    count = len(seen)
    CliRunner().invoke(app, [*command, *rest], catch_exceptions=False)
    assert len(seen) == count
    assert page.read_text() == text


def test_the_figure_shows_the_spread_of_the_seeds_and_the_sweep() -> None:
    losses = (1.5, 1.7, 1.6)
    outcomes = [
        made_outcome(name, 0.5, task="characters", rate=rate, seed=seed, test_loss=loss + shift)
        for name, rate, shift in (("muon", 0.02, 0.0), ("muon", 0.06, 0.1), ("adamw", 0.003, 0.3))
        for seed, loss in enumerate(losses)
    ]
    tried = [
        made_outcome("muon", 0.5, task="characters", rate=rate, test_loss=loss)
        for rate, loss in ((0.06, 1.9), (0.02, 1.8), (0.2, math.nan))
    ]
    steps, rates = draw(rows(outcomes), tried).axes
    muon, adamw = steps.get_lines()
    assert (muon.get_label(), adamw.get_label()) == ("muon, lr 0.02", "adamw, lr 0.003")
    assert muon.get_xdata() == pytest.approx([10, 20])
    assert muon.get_ydata() == pytest.approx([2.0, 1.6])
    band = np.asarray(steps.collections[0].get_paths()[0].vertices)
    assert band[band[:, 0] == 20, 1].min() == pytest.approx(1.5)
    assert band[band[:, 0] == 20, 1].max() == pytest.approx(1.7)
    swept = rates.get_lines()[1]
    assert swept.get_xdata() == pytest.approx([0.02, 0.06, 0.2])
    dots = [tuple(dot) for collection in rates.collections for dot in collection.get_offsets()]
    assert (0.06, pytest.approx(1.8)) in dots
    assert len(dots) == 9
