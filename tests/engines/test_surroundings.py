"""What is done around every rule: with tensors by hand, and with stand-ins as a program."""

from __future__ import annotations

import pytest
import torch

from schuss.contract import State
from schuss.engines.program.operations import ROUNDINGS
from schuss.engines.program.program import GRAD, PARAM, STATE, Place
from schuss.engines.surroundings import descending, run_on_master, surrounded
from schuss.engines.tracing.tape import Dimensions
from schuss.engines.tracing.tracer import trace
from schuss.storage import master


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


def test_a_master_moves_by_what_a_parameter_is_too_coarse_for():
    # Below 1, numbers of bfloat16 are 1/256 apart, so that no step of 1/2048 could move 1.
    param = torch.ones(1, dtype=torch.bfloat16)
    state: State = {}
    found = []
    for _ in range(8):
        run_on_master(subtracting, state, {}, torch.full((1,), 1 / 2048), param)
        found.append(param.item())
    assert state[master.KEY].item() == 1 - 8 / 2048
    assert state["before"].dtype is torch.float32
    assert found == [1.0] * 4 + [1 - 1 / 256] * 4  # half of the way is rounded to the even 1


def test_a_number_of_a_parameter_that_was_written_from_outside_replaces_that_of_its_master():
    param = torch.tensor([1.0, 5.0], dtype=torch.bfloat16)
    weight = torch.tensor([1 + 1 / 2048, 2 + 1 / 2048])
    state = {master.KEY: weight}
    run_on_master(subtracting, state, {}, torch.tensor([0.25, 0.25]), param)
    assert state["before"].tolist() == [1 + 1 / 2048, 5.0]
    assert state[master.KEY] is weight
    assert weight.tolist() == [0.75 + 1 / 2048, 4.75]
    assert param.tolist() == [0.75, 4.75]


def test_what_is_untouched_is_asked_of_the_caller():
    param = torch.tensor([1.0, 1.0], dtype=torch.bfloat16)
    state = {master.KEY: torch.tensor([3.0, 3.0])}
    seen = []

    def only_the_first(weight, given):
        seen.append((weight.tolist(), given is param))
        return torch.tensor([True, False])

    run_on_master(subtracting, state, {}, torch.zeros(2), param, only_the_first)
    assert state["before"].tolist() == [3.0, 1.0]
    assert seen == [([3.0, 3.0], True)]


def recorded(scale, rounding, *, maximize):
    """Return the program of a rule with its surroundings, and its numbers."""
    inputs = [Place(GRAD), Place(PARAM)]
    if rounding is not None:
        inputs.append(Place(STATE + master.KEY))

    def rule(state, group, grad, param):
        param.sub_(grad)

    around = surrounded(rule, scale, rounding)
    group = {"maximize": maximize}
    found = trace(around, inputs, (), {}, group, torch.empty(0), Dimensions(), {})
    return str(found.program).splitlines(), found.arguments


def test_a_program_has_no_operation_for_surroundings_that_are_not_there():
    assert recorded(None, None, maximize=False) == (
        ["v0 = grad", "v1 = param", "v2 = sub(v1, v0)", "param <- v2"],
        [],
    )


def test_scale_and_sign_are_the_first_operations_of_a_program():
    program, numbers = recorded(8.0, None, maximize=True)
    assert program[2:4] == ["v2 = div(v0, a0)", "v3 = neg(v2)"]
    assert numbers == [8.0]


def test_a_program_makes_the_master_and_rounds_it_into_the_parameter():
    program, _ = recorded(None, ROUNDINGS["bfloat16"], maximize=False)
    assert program == [
        "v0 = grad",
        "v1 = param",
        "v2 = state.master_param",
        "v3 = rounds_to_bfloat16(v2, v1)",
        "v4 = where(v3, v2, v1)",
        "v5 = sub(v4, v0)",
        "state.master_param <- v5",
        "param <- v5",
    ]
