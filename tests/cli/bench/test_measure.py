"""Which heats there are."""

from pathlib import Path

import pytest

from schuss.cli.bench import measure as module
from schuss.cli.bench.cases import Case
from schuss.cli.bench.heats import Heat, Settings
from schuss.cli.bench.measure import GIB, measure, split
from schuss.cli.bench.tables import tables
from schuss.cli.bench.workloads import Workload
from tests.cli.bench.records import ADAMW, SETTINGS, Silent, heat_of, record_of


def test_all_are_in_one_heat_if_they_fit() -> None:
    assert split(["a", "b", "floor"], ["floor"], places=3) == [["a", "b", "floor"]]


def test_others_share_heats_with_those_that_all_are_compared_with() -> None:
    names = ["a", "fused", "b", "c", "floor"]
    expected = [["a", "b", "fused", "floor"], ["c", "fused", "floor"]]
    assert split(names, ["fused", "floor"], places=4) == expected
    assert len(split(names, ["fused", "floor"], places=0)) == 3
    assert split(["floor"], ["floor"], places=0) == [["floor"]]


def test_a_heat_fills_no_more_memory_than_it_may(
    small: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    heats: list[list[str]] = []

    def run_heat(names: list[str], *_: object) -> Heat:
        heats.append(names)
        return heat_of({name: [1.0, 1.0] for name in names})

    monkeypatch.setattr(module, "run_heat", run_heat)
    names = ["torch-loop", "torch-foreach", "torch-fused", "labml", "schuss-fused", "floor"]
    # 17 numbers of 4 bytes, in parameter, gradient and two moments.
    contender = 4 * 4 * small.numbers
    for places, expected in ((7, 1), (6, 2), (5, 3)):
        heats.clear()
        silent = Silent()
        memory = (places + 0.5) * contender / GIB
        measure(ADAMW, small, names, SETTINGS, silent, memory=memory, cold=False)
        assert len(heats) == len(silent.begun) == expected
        assert all({"torch-fused", "schuss-fused", "floor"} <= set(heat) for heat in heats)


def test_torch_s_compiler_and_first_steps_run_apart(
    small: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[list[str], int, dict[str, str], int]] = []

    def run_apart(
        case: Case, workload: Workload, names: list[str], settings: Settings, env: dict[str, str]
    ) -> Heat:
        ((_, directory),) = env.items()
        calls.append((names, settings.rounds, dict(env), len(list(Path(directory).iterdir()))))
        (Path(directory) / "kernel").touch()
        return heat_of({name: [1.0] * settings.rounds for name in names})

    monkeypatch.setattr(module, "run_apart", run_apart)
    names = ["torch-fused", "torch-compile", "schuss-fused", "floor"]
    result = measure(ADAMW, small, names, SETTINGS, Silent(), memory=1.0, cold=True)
    compiled, cold, cached = calls
    assert compiled[:2] == (["torch-compile", "torch-fused", "schuss-fused", "floor"], 2)
    assert [*compiled[2]] == ["TORCHINDUCTOR_CACHE_DIR"]
    assert cold[:2] == cached[:2] == (["schuss-fused"], 0)
    assert cold[2] == cached[2]  # the same cache of kernels
    assert (compiled[3], cold[3], cached[3]) == (0, 0, 1)  # empty, empty, filled
    rows = {row["name"]: row for row in result["contenders"]}
    assert list(rows) == names
    assert rows["torch-compile"]["over_floor"]["median"] == 1.0
    assert rows["schuss-fused"]["new_process"] == {
        "cold": 100.0,
        "cached": 100.0,
        "failure": None,
    }


def test_a_first_step_that_failed_is_missing_with_the_reason(
    small: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Heat(left_out={"schuss-fused": "its process failed"})
    monkeypatch.setattr(module, "run_apart", lambda *_: failed)
    names = ["torch-fused", "schuss-fused", "floor"]
    result = measure(ADAMW, small, names, SETTINGS, Silent(), memory=1.0, cold=True)
    rows = {row["name"]: row for row in result["contenders"]}
    expected = {"cold": None, "cached": None, "failure": "its process failed"}
    assert rows["schuss-fused"]["new_process"] == expected
    (table,) = tables(record_of(result))
    assert table.rows[1][5] == "- / -"
    assert "schuss fused in a new process: its process failed" in table.notes
