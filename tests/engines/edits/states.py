"""Edits of the state."""

from __future__ import annotations

import copy
from collections import defaultdict

import numpy as np
import torch
from torch import Tensor

from tests.engines.edits.subject import Subject
from tests.engines.edits.tensors import spread


def looked_at(subject: Subject, which: int, seed: int) -> None:
    subject.state(which)


def dictionary_held(subject: Subject, which: int, seed: int) -> None:
    subject.held.append(subject.state(which))


def all_held(subject: Subject, which: int, seed: int) -> None:
    subject.held.append(subject.optimizer.state)


def alias_held(subject: Subject, which: int, seed: int) -> None:
    key = subject.tensor_key(which, seed)
    subject.held.append(subject.state(which)[key].detach())


def view_held(subject: Subject, which: int, seed: int) -> None:
    key = subject.tensor_key(which, seed)
    subject.held.append(subject.state(which)[key].view(-1))


def storage_held(subject: Subject, which: int, seed: int) -> None:
    key = subject.tensor_key(which, seed)
    subject.held.append(subject.state(which)[key].untyped_storage())


def let_go(subject: Subject, which: int, seed: int) -> None:
    subject.held.clear()


def _held(subject: Subject, which: int) -> Tensor:
    tensors = [held for held in subject.held if isinstance(held, Tensor) and held.numel()]
    if not tensors:
        raise LookupError("no tensor is held")
    return tensors[which % len(tensors)]


def held_is_changed(subject: Subject, which: int, seed: int) -> None:
    _held(subject, which).mul_(0.5)


def held_is_resized_and_back(subject: Subject, which: int, seed: int) -> None:
    held = _held(subject, which)
    numbers, storage = held.clone(), held.untyped_storage()
    if not storage.resizable():
        raise LookupError("the tensor that is held cannot be resized")
    length = storage.nbytes()
    storage.resize_(0)
    subject.held.append(torch.empty(length, dtype=torch.uint8))  # perhaps the memory of before
    storage.resize_(length)
    held.copy_(numbers)


def held_is_set_elsewhere(subject: Subject, which: int, seed: int) -> None:
    held = _held(subject, which)
    held.set_(held.clone())  # type: ignore[call-overload]  # torch's stub lacks it


def held_state_is_changed(subject: Subject, which: int, seed: int) -> None:
    states = [held for held in subject.held if isinstance(held, dict)]
    for state in states[:1]:
        for key, value in list(state.items()):
            if isinstance(value, Tensor):
                state[key] = subject.room.holding(value) * 0.5


def replaced(subject: Subject, which: int, seed: int) -> None:
    state, key = subject.state(which), subject.tensor_key(which, seed)
    old = state[key]
    state[key] = subject.room.holding(old)
    subject.room.take_back(old)


def all_replaced(subject: Subject, which: int, seed: int) -> None:
    for state in subject.optimizer.state.values():
        for key, value in state.items():
            if isinstance(value, Tensor):
                state[key] = subject.room.holding(value)
                subject.room.take_back(value)


def replaced_with_gaps(subject: Subject, which: int, seed: int) -> None:
    state, key = subject.state(which), subject.tensor_key(which, seed)
    state[key] = subject.room.holding(spread(state[key]))


def replaced_by_data(subject: Subject, which: int, seed: int) -> None:
    state, key = subject.state(which), subject.tensor_key(which, seed)
    old = state[key].data
    state[key].data = subject.room.holding(old)
    subject.room.take_back(old)


def changed_in_place(subject: Subject, which: int, seed: int) -> None:
    state, key = subject.state(which), subject.tensor_key(which, seed)
    state[key].mul_(0.5)


def in_double(subject: Subject, which: int, seed: int) -> None:
    state, key = subject.state(which), subject.tensor_key(which, seed)
    double = torch.complex128 if state[key].is_complex() else torch.float64
    state[key] = state[key].to(double)


def of_another_shape(subject: Subject, which: int, seed: int) -> None:
    state, key = subject.state(which), subject.tensor_key(which, seed)
    state[key] = state[key].new_zeros((3, *state[key].shape))


def flattened(subject: Subject, which: int, seed: int) -> None:
    state, key = subject.state(which), subject.tensor_key(which, seed)
    state[key] = state[key].reshape(-1)


def on_meta(subject: Subject, which: int, seed: int) -> None:
    state, key = subject.state(which), subject.tensor_key(which, seed)
    state[key] = state[key].to("meta")


def expanded(subject: Subject, which: int, seed: int) -> None:
    state, key = subject.state(which), subject.tensor_key(which, seed)
    state[key] = state[key].new_ones(()).expand_as(state[key])


def negated_view(subject: Subject, which: int, seed: int) -> None:
    state, key = subject.state(which), subject.tensor_key(which, seed)
    state[key] = torch._neg_view(-state[key])


def shared_by_two(subject: Subject, which: int, seed: int) -> None:
    first, second = subject.state(0), subject.state(2)
    key = subject.tensor_key(0, seed)
    if key in second:
        second[key] = first[key]


def swapped(subject: Subject, which: int, seed: int) -> None:
    first, second = subject.state(0), subject.state(2)
    for key in first.keys() & second.keys():
        first[key], second[key] = second[key], first[key]


def key_deleted(subject: Subject, which: int, seed: int) -> None:
    del subject.state(which)[subject.tensor_key(which, seed)]


def cleared(subject: Subject, which: int, seed: int) -> None:
    subject.state(which).clear()


def all_cleared(subject: Subject, which: int, seed: int) -> None:
    subject.optimizer.state.clear()


def forgotten(subject: Subject, which: int, seed: int) -> None:
    subject.optimizer.state.pop(subject.param(which), None)


def copied(subject: Subject, which: int, seed: int) -> None:
    subject.optimizer.state[subject.param(which)] = dict(subject.state(which))


def all_copied(subject: Subject, which: int, seed: int) -> None:
    state = subject.optimizer.state
    subject.optimizer.state = defaultdict(dict, {p: dict(s) for p, s in state.items()})


def a_number_of_its_own(subject: Subject, which: int, seed: int) -> None:
    subject.state(which)["mine"] = seed


def a_tensor_of_its_own(subject: Subject, which: int, seed: int) -> None:
    subject.state(which)["mine"] = torch.ones(3)


def an_object_of_its_own(subject: Subject, which: int, seed: int) -> None:
    subject.state(which)["mine"] = [1, 2]


_KINDS = (int, float, np.int64, np.float32, np.float64, torch.tensor, lambda n: torch.tensor([n]))


def step_of_another_kind(subject: Subject, which: int, seed: int) -> None:
    state = subject.state(which)
    if "step" in state:
        state["step"] = _KINDS[seed % len(_KINDS)](int(state["step"]))


def steps_of_another_kind(subject: Subject, which: int, seed: int) -> None:
    for index in range(len(subject.params)):
        step_of_another_kind(subject, index, seed)


def step_set(subject: Subject, which: int, seed: int) -> None:
    state = subject.state(which)
    if "step" in state:
        state["step"] = 10 + seed


def loaded(subject: Subject, which: int, seed: int) -> None:
    subject.optimizer.load_state_dict(subject.optimizer.state_dict())


def loaded_late(subject: Subject, which: int, seed: int) -> None:
    saved = copy.deepcopy(subject.optimizer.state_dict())
    subject.optimizer.state.clear()
    subject.optimizer.load_state_dict(saved)


def saved(subject: Subject, which: int, seed: int) -> None:
    subject.held.append(subject.optimizer.state_dict())


STATE = [
    looked_at,
    dictionary_held,
    all_held,
    alias_held,
    view_held,
    storage_held,
    let_go,
    held_is_changed,
    held_is_resized_and_back,
    held_is_set_elsewhere,
    held_state_is_changed,
    replaced,
    all_replaced,
    replaced_with_gaps,
    replaced_by_data,
    changed_in_place,
    in_double,
    of_another_shape,
    flattened,
    on_meta,
    expanded,
    negated_view,
    shared_by_two,
    swapped,
    key_deleted,
    cleared,
    all_cleared,
    forgotten,
    copied,
    all_copied,
    a_number_of_its_own,
    a_tensor_of_its_own,
    an_object_of_its_own,
    step_of_another_kind,
    steps_of_another_kind,
    step_set,
    loaded,
    loaded_late,
    saved,
]
