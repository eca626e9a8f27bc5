"""The states of parameters: brought into form, adopted, undone, and looked at for changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from schuss.engines.states import Kept, tensors_of, whole
from schuss.storage import master


class Counting:
    """An optimizer as far as states go: a count, and a mean in the precision of the parameter."""

    def begin_state(self, state, group, param):
        state.update(step=0, mean=torch.zeros_like(param))

    def check_listed(self):
        pass

    def sparse_obstacle(self, group):
        return None


OPTIMIZER = Counting()


def parameter(*shape, **options):
    return nn.Parameter(torch.ones(shape, **options))


def group_of(*params, master_weights=False):
    return {
        "params": list(params),
        "master_weights": master_weights,
        "capturable": False,
        "state_storage": None,
    }


def kept_with(param, **state):
    """Return what is kept after a step with a state."""
    kept = Kept()
    kept.states[param] = state
    kept.note({param: state})
    return kept


def test_a_new_state_is_begun_and_is_not_there_before_it_is_adopted():
    param, resting = parameter(2), parameter(3)
    kept = Kept()
    found = kept.of_group(OPTIMIZER, group_of(param, resting), [param])
    assert list(found) == [param]
    assert found[param]["step"] == 0
    assert not kept.states
    kept.adopt(found)
    assert kept.states[param] is found[param]


def test_a_state_of_a_parameter_whose_turn_it_is_not_is_returned_as_it_is():
    param, resting = parameter(2), parameter(3)
    kept = kept_with(resting, step=np.int64(4))
    found = kept.of_group(OPTIMIZER, group_of(param, resting), [param])
    assert list(found) == [resting, param]
    assert type(found[resting]["step"]) is np.int64


@pytest.mark.parametrize(
    ("value", "expected"),
    [(np.int64(4), 4), (np.float32(0.5), 0.5), ("name", "name"), (None, None)],
)
def test_numbers_in_a_state_become_those_of_python_in_place(value, expected):
    param = parameter(2)
    kept = kept_with(param, key=value)
    state = kept.states[param]
    found = kept.of_group(OPTIMIZER, group_of(param), [param])
    assert found[param] is state
    assert state == {"key": expected}
    assert type(state["key"]) is type(expected)


def test_a_state_gets_a_master_when_its_group_asks_for_one():
    param = parameter(2, dtype=torch.bfloat16)
    mean = torch.full((2,), 0.5, dtype=torch.bfloat16)
    kept = kept_with(param, mean=mean)
    (state,) = kept.of_group(OPTIMIZER, group_of(param, master_weights=True), [param]).values()
    assert state["mean"].dtype is torch.float32
    assert state["mean"].tolist() == [0.5, 0.5]
    assert state[master.REMAINDER].dtype is torch.int16
    assert state[master.REMAINDER].tolist() == [0, 0]
    kept.undo()
    assert kept.states[param] is state
    assert list(state) == ["mean"]
    assert state["mean"] is mean


def test_copies_leave_the_states_as_they_are():
    param, new = parameter(2), parameter(3)
    kept = kept_with(param, step=np.int64(4), mean=torch.zeros(2))
    found = kept.copied(OPTIMIZER, group_of(param, new), [param, new])
    assert found[param] == {"step": 4, "mean": kept.states[param]["mean"]}
    assert found[param]["mean"] is kept.states[param]["mean"]
    assert type(kept.states[param]["step"]) is np.int64
    assert found[new]["step"] == 0
    assert list(kept.states) == [param]


def test_what_was_done_since_the_beginning_is_undone():
    first, second, third = (parameter(2) for _ in range(3))
    kept = kept_with(first, step=np.int64(1))
    kept.adopt({second: {"step": 2}})
    kept.of_group(OPTIMIZER, group_of(first), [first])
    kept.states[first]["step"] = np.int64(2)
    kept.begin()
    found = kept.of_group(OPTIMIZER, group_of(first, second, third), [first, second, third])
    kept.adopt(found)
    found[second].clear()
    assert third in kept.states
    kept.undo()
    assert list(kept.states) == [first, second]
    assert type(kept.states[first]["step"]) is np.int64
    assert kept.states[first] == kept.states[second] == {"step": 2}
    kept.undo()  # there is nothing left to undo
    assert list(kept.states) == [first, second]


MEAN = torch.zeros(2)


@pytest.mark.parametrize(
    ("state", "alike"),
    [
        ({"mean": torch.ones(2), "step": 7}, True),  # other numbers of the same kind
        ({"mean": torch.ones(2).double()}, False),
        ({"mean": torch.ones(3)}, False),
        ({"other": torch.ones(2)}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_state_is_as_before_if_its_tensors_are_of_the_same_kind(state, alike):
    param = parameter(2)
    kept = kept_with(param, mean=MEAN, step=1)
    assert kept.are_as_before({param: state}) == alike


def test_a_parameter_is_as_before_if_it_is_of_the_same_kind():
    param = parameter(2)
    kept = kept_with(param, step=1)
    assert kept.are_as_before({param: {"step": 2}})
    assert not kept.are_as_before({parameter(2): {"step": 2}})  # which nothing is known of
    param.data = torch._neg_view(torch.ones(2))
    assert not kept.are_as_before({param: {"step": 2}})
    param.data = torch.ones(2).double()
    assert not kept.are_as_before({param: {"step": 2}})


@pytest.mark.parametrize(
    ("shape", "noted"),
    [
        ((2, 3), True),
        ((), True),  # one number
        ((3,), False),
    ],
)
def test_a_shape_that_a_tensor_must_not_have_is_not_taken_for_normal(shape, noted):
    param = parameter(2, 3)
    kept = kept_with(param, mean=torch.zeros(2, 3))
    state = {"mean": torch.zeros(shape)}
    kept.note({param: state})
    assert kept.are_as_before({param: state}) == noted


def test_a_state_of_rows_is_noted_if_it_was_of_rows_before():
    param = parameter(2, 3)
    kept = kept_with(param, row=torch.zeros(2))
    state = {"row": torch.zeros(2).double()}
    kept.note({param: state})
    assert kept.are_as_before({param: state})


def test_a_parameter_that_has_outgrown_its_state_is_refused_before_anything_changes():
    first, second = parameter(2), parameter(2)
    kept = kept_with(first, step=np.int64(1))
    state = {"mean": torch.zeros(2), "norm": torch.zeros(())}
    kept.states[second] = state
    kept.note({second: state})
    group = group_of(first, second)
    second.data = torch.ones(5)
    with pytest.raises(
        RuntimeError, match=r"Counting: .* shape \(2,\).* is torch.float32 .*\(5,\)"
    ):
        kept.of_group(OPTIMIZER, group, [first, second])
    assert type(kept.states[first]["step"]) is np.int64
    state["mean"] = torch.zeros(5)  # the norm is one number, whatever the shape
    assert kept.of_group(OPTIMIZER, group, [first, second])[second] is state
    second.data = torch.ones(5).double()
    with pytest.raises(RuntimeError, match=r"its state 'mean' is torch.float32 of shape \(5,\)"):
        kept.copied(OPTIMIZER, group, [second])


def test_a_parameter_whose_turn_it_is_not_may_have_outgrown_its_state():
    param, resting = parameter(2), parameter(2)
    kept = kept_with(resting, mean=torch.zeros(2))
    resting.data = torch.ones(5)
    assert resting in kept.of_group(OPTIMIZER, group_of(param, resting), [param])


def emptied():
    tensor = torch.ones(3)
    tensor.untyped_storage().resize_(0)
    return tensor


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(1, 3).expand(2, 3), "expanded"),
        (emptied(), "has no memory"),
        (torch.ones(3, device="meta"), "has no memory"),
    ],
    ids=["expanded", "emptied", "meta"],
)
def test_a_tensor_without_memory_of_its_own_is_refused(tensor, message):
    param = parameter(3)
    kept = kept_with(param, mean=tensor)
    with pytest.raises(RuntimeError, match=f"the state 'mean' of a parameter .* {message}"):
        kept.of_group(OPTIMIZER, group_of(param), [param])
    if tensor.device.type != "meta":  # a parameter may be there
        with pytest.raises(RuntimeError, match=f"Counting: a parameter .* {message}"):
            Kept().of_group(OPTIMIZER, group_of(tensor), [tensor])


def test_a_parameter_on_the_meta_device_may_have_its_state_there():
    param = parameter(3, device="meta")
    kept = kept_with(param, mean=torch.ones(3, device="meta"))
    assert param in kept.of_group(OPTIMIZER, group_of(param), [param])


def test_an_error_leaves_parameters_and_states_as_they_were():
    param, mean = parameter(2), torch.zeros(2)
    state = {"mean": mean, "step": 1}

    def written(*, error=None):
        with whole({param: state}):
            param.data.fill_(7.0)
            mean.fill_(7.0)
            state.update(mean=torch.ones(2), step=2, more="more")
            if error:
                raise error

    with pytest.raises(KeyboardInterrupt):
        written(error=KeyboardInterrupt)
    assert state.keys() == {"mean", "step"}
    assert state["mean"] is mean
    assert (param.tolist(), mean.tolist(), state["step"]) == ([1.0, 1.0], [0.0, 0.0], 1)
    written()
    assert (param.tolist(), mean.tolist(), state["step"]) == ([7.0, 7.0], [7.0, 7.0], 2)


def test_the_tensors_of_states_are_parameters_and_what_is_kept_of_them():
    param, mean = parameter(2), torch.zeros(2)
    found = tensors_of({param: {"step": 1, "mean": mean, "name": "x"}})
    assert [id(x) for x in found] == [id(param), id(mean)]
