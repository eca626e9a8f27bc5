"""`schuss bench matrices`, on matrices small enough for a test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from schuss.cli.app import app
from schuss.cli.bench.contenders import NotAvailableError
from schuss.cli.bench.markdown import markers
from schuss.cli.bench.matrices import (
    ELEMENTWISE,
    FLOOR,
    MUONS,
    OURS,
    PERIOD,
    RACES,
    SOAPS,
    WHOLE_MODELS,
    Race,
    measure_race,
)
from schuss.cli.bench.record import WHOLE
from schuss.cli.bench.workloads import Workload, parameters
from schuss.composite import Composite
from schuss.optimizers import AdamW, Muon
from tests.cli.bench.records import SETTINGS, Silent

SHAPES = ((4, 6),) * 5
MODEL = ((7, 4), (5, 4), (4,), (4, 12), (12,))
"""Two embeddings first, as in GPT-2, and one matrix behind them."""


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, race in list(RACES.items()):
        shapes = MODEL if race.contenders is WHOLE_MODELS else SHAPES
        workload = replace(race.workload, shapes=shapes)
        monkeypatch.setitem(RACES, name, replace(race, workload=workload))
    monkeypatch.setattr("schuss.cli.bench.launch._STEP_BLOCK", 1e-4)


@pytest.mark.usefixtures("_small")
def test_every_workload_has_a_record_and_a_section_of_its_own(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    workloads = {"muon-64": MUONS, "soap-64": SOAPS, "composite": WHOLE_MODELS}
    sections = {name: markers(f"{WHOLE}-{name}") for name in workloads}
    lines = [line for name in workloads for line in sections[name]]
    page.write_text("\n".join(["before", *lines, "after"]))
    asked = [word for name in workloads for word in ("--workload", name)]
    shared = ["--rounds", "2", "--threads", "1"]
    places = ["--output", str(tmp_path), "--markdown", str(page)]
    command = ["bench", "matrices", *asked, *shared, *places]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    text = page.read_text()
    for name, contenders in workloads.items():
        record = json.loads((tmp_path / f"bench-{WHOLE}-{name}.json").read_text())
        again = ["schuss", "bench", "matrices", "--workload", name, *shared]
        assert record["command"] == " ".join(again)
        (found,) = record["results"]
        assert (found["workload"]["name"], found["left_out"]) == (name, {})
        begin, end = sections[name]
        section = text.partition(begin)[2].partition(end)[0]
        for contender in contenders:
            assert f"\n| {contender} | " in section
    assert f"The time of a step is the mean of {PERIOD} in sequence." in text
    assert (text.startswith("before\n"), text.endswith("after")) == (True, True)
    record = str(tmp_path / f"bench-{WHOLE}-soap-64.json")
    shown = CliRunner().invoke(app, ["bench", "show", record])
    assert "SOAP, 100 matrices of 64x64" in shown.output


@pytest.mark.usefixtures("_small")
def test_a_missing_section_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("\n".join(markers("mine-muon-64")))
    asked = ["--workload", "muon-64", "--workload", "soap-64", "--section", "mine"]
    places = ["--output", str(tmp_path), "--markdown", str(page)]
    result = CliRunner().invoke(app, ["bench", "matrices", *asked, *places])
    assert result.exit_code == 1
    assert "no section 'mine-soap-64'" in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == [page]


def test_all_but_the_iteration_is_compared_by_the_bytes_that_it_moves() -> None:
    race = Race(
        Workload("small", "small", SHAPES), {k: MUONS[k] for k in (OURS, ELEMENTWISE, FLOOR)}
    )
    found = measure_race(race, SETTINGS, Silent())
    rows = {row["name"]: row for row in found["contenders"]}
    (heat,) = found["heats"]
    optimizer = Muon(parameters(race.workload))
    optimizer.step()
    moved = optimizer.explain().cohorts[0].bytes_per_number
    assert moved is not None
    assert rows[ELEMENTWISE]["bytes_per_number"] == moved
    assert rows[FLOOR]["bytes_per_number"] == 20
    assert rows[OURS]["over_floor_per_byte"] is None
    times = [heat["runners"][name]["rounds_ms"] for name in (ELEMENTWISE, FLOOR)]
    first, second = (mine / floor * 20 / moved for mine, floor in zip(*times, strict=True))
    assert rows[ELEMENTWISE]["over_floor_per_byte"]["median"] == pytest.approx((first + second) / 2)


def test_all_but_the_iteration_moves_parameters_by_the_mean() -> None:
    (param,) = parameters(Workload("small", "small", SHAPES[:1]))
    before, grad = param.detach().clone(), param.grad
    assert grad is not None
    MUONS[ELEMENTWISE]([param]).step()
    mean = 0.05 * grad
    update = 0.95 * mean + 0.05 * grad  # and the scale of Muon, which is 1 for a wide matrix
    torch.testing.assert_close(param.detach(), before * (1 - 1e-3 * 0.1) - 1e-3 * update)


def test_the_composite_and_the_two_alone_take_the_same_step() -> None:
    workload = Workload("model", "model", MODEL)
    ends = []
    for build in WHOLE_MODELS.values():
        params = parameters(workload)
        build(params).step()
        ends.append([param.detach() for param in params])
    composite, alone, theirs = ends
    assert all(map(torch.equal, composite, alone))
    for mine, other in zip(composite, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=5e-5)  # bfloat16, and another form
    made = next(iter(WHOLE_MODELS.values()))(parameters(workload))
    assert isinstance(made, Composite)
    assert [type(made.algorithm_of(group)) for group in made.param_groups] == [Muon, AdamW]
    assert [len(group["params"]) for group in made.param_groups] == [1, 4]


def test_a_turn_of_soap_has_a_whole_period() -> None:
    counted: list[int] = []

    class Counting:
        def step(self) -> None:
            counted.append(1)

    race = Race(Workload("small", "small", SHAPES), {"ours": lambda params: Counting()}, PERIOD)
    found = measure_race(race, SETTINGS, Silent())
    assert len(counted) % PERIOD == 0
    (row,), (heat,) = found["contenders"], found["heats"]
    first, second = heat["runners"]["ours"]["rounds_ms"]
    assert row["step_ms"]["median"] == pytest.approx((first + second) / 2 / PERIOD)


def test_a_torch_without_muon_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(NotAvailableError, match=r"torch 2\.9"):
        MUONS["torch.optim.Muon"](parameters(Workload("small", "small", SHAPES)))


def test_the_matrices_of_gpt2_are_those_within_its_blocks() -> None:
    workload = RACES["muon-gpt2"].workload
    assert len(workload.shapes) == 48
    assert workload.numbers == 12 * 12 * 768**2
    assert RACES["muon-gpt2-12"].workload.numbers == 3 * 12 * 768**2
