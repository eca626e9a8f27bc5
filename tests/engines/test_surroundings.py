"""What is done around every rule: with tensors by hand, and with stand-ins as a program."""

from __future__ import annotations

import pytest
import torch

from schuss.contract import State
from schuss.engines.program.program import GRAD, PARAM, STATE, Place
from schuss.engines.surroundings import descending, run_on_weight, surrounded
from schuss.engines.tracing.tape import Dimensions
from schuss.engines.tracing.tracer import trace
from schuss.storage import master
from schuss.storage.master import Kahan, Master, Remainder, Stochastic, weight_of


@pytest.mark.parametrize(
    ("scale", "maximize", "expected"),
    [
        (None, False, [2.0, -4.0]),
        (8.0, False, [0.25, -0.5]),
        (None, True, [-2.0, 4.0]),
        (8.0, True, [-0.25, 0.5]),
        (torch.tensor(8.0), True, [-0.25, 0.5]),
    ],
    ids=str,
)
def test_a_gradient_loses_its_scale_and_points_downhill(scale, maximize, expected):
    grad = torch.tensor([2.0, -4.0])
    found = descending(grad, {"maximize": maximize}, scale)
    assert found.tolist() == expected
    assert grad.tolist() == [2.0, -4.0]
    assert (found is grad) == (scale is None and not maximize)  # the loop looks at this


def subtracting(state, group, grad, param):
    """Move a parameter by its gradient, and remember what it was."""
    state["before"] = param.clone()
    param.sub_(grad)


def test_a_weight_moves_by_what_a_parameter_is_too_coarse_for():
    # Below 1, numbers of bfloat16 are 1/256 apart, so that no step of 1/2048 could move 1.
    param = torch.ones(1, dtype=torch.bfloat16)
    weights = Remainder("int16")
    state: State = {}
    weights.begin(state, param, 0)
    found = []
    for _ in range(8):
        run_on_weight(weights, subtracting, state, {}, torch.full((1,), 1 / 2048), param)
        found.append(param.item())
    assert weight_of(state, param).item() == 1 - 8 / 2048
    assert state["before"].dtype is torch.float32
    assert found == [1.0] * 4 + [1 - 1 / 256] * 4  # half of the way is rounded away from zero


def test_a_number_of_a_parameter_that_was_written_from_outside_replaces_that_of_its_master():
    param = torch.tensor([1.0, 5.0], dtype=torch.float16)
    weight = torch.tensor([1 + 1 / 8192, 2 + 1 / 8192])
    state = {master.KEY: weight}
    run_on_weight(Master("float16"), subtracting, state, {}, torch.tensor([0.25, 0.25]), param)
    assert state["before"].tolist() == [1 + 1 / 8192, 5.0]
    assert state[master.KEY] is weight
    assert weight.tolist() == [0.75 + 1 / 8192, 4.75]
    assert param.tolist() == [0.75, 4.75]


def test_a_rule_that_only_measures_leaves_weight_and_count_as_they_are():
    param = torch.tensor([1.0, -3.0], dtype=torch.bfloat16)
    state: State = {"rounding_stream": 3, "rounding_step": 5}

    def measuring(state, group, grad, param):
        state.clear()
        state["largest"] = param.abs().max()

    run_on_weight(Stochastic(), measuring, state, {}, torch.zeros(2), param)
    assert state == {"largest": 3.0}
    assert param.tolist() == [1.0, -3.0]


def recorded(scale, weights, *keys, maximize):
    """Return the program of a rule with its surroundings, and its numbers."""
    inputs = [Place(GRAD), Place(PARAM), *(Place(STATE + key) for key in keys)]

    def rule(state, group, grad, param):
        param.sub_(grad)

    around = surrounded(rule, scale, weights)
    group = {"maximize": maximize}
    counts = {master.STREAM: 3, master.STEP: 5} if isinstance(weights, Stochastic) else {}
    found = trace(around, inputs, (), counts, group, torch.empty(0), Dimensions(), {})
    return str(found.program).splitlines()[len(inputs) :], found.arguments, found.scalars


def test_a_program_has_no_operation_for_surroundings_that_are_not_there():
    assert recorded(None, None, maximize=False) == (["v2 = sub(v1, v0)", "param <- v2"], [], {})


def test_scale_and_sign_are_the_first_operations_of_a_program():
    program, numbers, _ = recorded(8.0, None, maximize=True)
    assert program[:2] == ["v2 = div(v0, a0)", "v3 = neg(v2)"]
    assert numbers == [8.0]


@pytest.mark.parametrize(
    ("weights", "keys", "expected"),
    [
        (
            Master("float16"),
            [master.KEY],
            [
                "v3 = rounds_to_float16(v2, v1)",
                "v4 = where(v3, v2, v1)",
                "v5 = sub(v4, v0)",
                "state.master_param <- v5",
                "param <- v5",
            ],
        ),
        (
            Remainder("int8"),
            [master.REMAINDER],
            [
                "v3 = join_int8(v1, v2)",
                "v4 = sub(v3, v0)",
                "v5 = lower_int8(v4)",
                "v6 = upper_int8(v4)",
                "state.master_remainder <- v5",
                "param <- v6",
            ],
        ),
        (
            Kahan(),
            [master.COMPENSATION],
            [
                "v3 = add(v1, v2)",
                "v4 = sub(v3, v0)",
                "v5 = upper_int16(v4)",
                "v6 = sub(v4, v5)",
                "state.kahan_compensation <- v6",
                "param <- v5",
            ],
        ),
        (
            Stochastic(),
            [],
            ["v2 = sub(v1, v0)", "v3 = stochastic(v2, a0, a1)", "param <- v3"],
        ),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_program_reads_the_weight_and_keeps_it(weights, keys, expected):
    program, numbers, scalars = recorded(None, weights, *keys, maximize=False)
    assert program == expected
    if isinstance(weights, Stochastic):
        assert numbers == [3, 5]
        assert scalars == {master.STREAM: 3, master.STEP: 6}
