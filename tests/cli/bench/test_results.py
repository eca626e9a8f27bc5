"""Medians, and ratios within a round."""

import pytest

from schuss.cli.bench.cases import Case
from schuss.cli.bench.results import Spread, loop_result, over, ratios
from tests.cli.bench.records import HEAT, heat_of, result_of


def test_ratios_are_taken_within_a_round() -> None:
    heat = heat_of({"a": [2.0, 8.0, 3.0], "b": [1.0, 2.0, 3.0]})
    assert ratios([heat], "a", "b") == [2.0, 4.0, 1.0]
    # The ratio of the medians, 3 / 2, is another number.
    assert over([heat], "a", "b") == {"median": 2.0, "low": 1.5, "high": 3.0}


def test_ratios_are_taken_within_a_heat() -> None:
    slow, fast = heat_of({"a": [6.0], "b": [3.0]}), heat_of({"c": [1.0], "b": [0.5]})
    assert ratios([slow, fast], "a", "b") == [2.0]
    assert ratios([slow, fast], "c", "b") == [2.0]
    assert ratios([slow, fast], "a", "c") == []
    assert over([slow, fast], "a", "c") is None


def test_one_round_has_no_spread() -> None:
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)


def test_a_result_has_times_ratios_and_who_was_left_out() -> None:
    result = result_of(HEAT)
    rows = {row["name"]: row for row in result["contenders"]}
    assert list(rows) == ["torch-loop", "torch-fused", "schuss-fused", "floor"]
    ours = rows["schuss-fused"]
    assert ours["step_ms"]["median"] == 1.5
    assert ours["over_torch_fused"]["median"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert ours["over_floor"]["median"] == 2.0
    assert ours["first_step_ms"] == 100.0
    assert ours["new_process"] == {"cold": 1234.0, "cached": 567.0, "failure": None}
    assert ours["extra_bytes"] == 1 << 20
    assert rows["floor"]["over_floor"]["median"] == 1.0
    assert rows["torch-loop"]["new_process"] is None
    assert result["left_out"] == {"labml": "labml_nn is not installed"}
    assert result["workload"]["tensors"] == 8
    assert result["bytes"] == 28 * 431_080
    # In 0.75 ms, which is the median.
    assert result["floor_gb_per_s"] == pytest.approx(28 * 431_080 / 0.75e-3 / 1e9)
    assert result["heats"][0]["runners"]["floor"]["rounds_ms"] == [0.5, 1.0]


def test_time_for_a_byte_is_compared_with_that_of_our_adamw() -> None:
    # SGD with momentum moves 5 numbers where AdamW moves 7, in half the time.
    heat = heat_of({"schuss-fused": [1.0], "schuss-adamw": [2.0], "floor": [1.0]})
    result = result_of(heat, Case("sgd:momentum=0.9", states=1))
    per_byte = {
        row["name"]: row["over_our_adamw_per_byte"]["median"] for row in result["contenders"]
    }
    assert per_byte["schuss-fused"] == pytest.approx((1 / 5) / (2 / 7))
    assert per_byte["schuss-adamw"] == 1.0
    assert all(row["over_torch_fused"] is None for row in result["contenders"])


def test_a_contender_that_was_left_out_of_one_heat_alone_is_not_missing() -> None:
    whole = heat_of({"torch-fused": [1.0], "floor": [1.0]})
    failed = heat_of({}, floor="its process failed")
    rows = loop_result("adamw", "mnist", "MNIST", 1, whole)["contenders"]
    assert [row["name"] for row in rows] == ["torch-fused", "floor"]
    assert failed.left_out == {"floor": "its process failed"}
