"""Edits of the parameter groups."""

from __future__ import annotations

from collections import UserList

import torch
from torch import nn

from tests.engines.edits.subject import Subject


def reversed_(subject: Subject, which: int, seed: int) -> None:
    subject.groups.reverse()


def first_deleted(subject: Subject, which: int, seed: int) -> None:
    if len(subject.groups) > 1:
        del subject.groups[0]


def spliced(subject: Subject, which: int, seed: int) -> None:
    subject.groups.insert(0, subject.groups.pop())


def list_replaced(subject: Subject, which: int, seed: int) -> None:
    subject.optimizer.param_groups = [dict(group) for group in subject.groups]


def parameter_moved(subject: Subject, which: int, seed: int) -> None:
    giver, taker = subject.group(which), subject.group(which + 1)
    if giver is not taker and isinstance(giver["params"], list) and len(giver["params"]):
        taker["params"] = [*taker["params"], giver["params"].pop(0)]


def parameter_dropped(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    group["params"] = list(group["params"])[1:]


def parameters_reversed(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    group["params"] = list(group["params"])[::-1]


def parameters_gone(subject: Subject, which: int, seed: int) -> None:
    subject.group(which)["params"] = []


def in_a_tuple(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    group["params"] = tuple(group["params"])


def in_a_dictionary(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    group["params"] = dict(enumerate(group["params"])).values()


def in_an_own_sequence(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    group["params"] = UserList(group["params"])


def in_a_new_list(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    group["params"] = list(group["params"])


def group_added(subject: Subject, which: int, seed: int) -> None:
    like = subject.param(which)
    param = nn.Parameter(subject.room.holding(subject.random(like, seed)))
    subject.params.append(param)
    subject.optimizer.add_param_group({"params": [param]})


def rate_changed(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    group["lr"] = float(group["lr"]) * 0.5


def rate_as_a_tensor(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    group["lr"] = torch.tensor(float(group["lr"]))


def rate_as_a_float(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    group["lr"] = float(group["lr"])


def decay_changed(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    if "weight_decay" in group:
        group["weight_decay"] = 0.1 * (seed % 2)


def engine_left_to_us(subject: Subject, which: int, seed: int) -> None:
    _engine(subject, which, fused=None, foreach=None)


def engine_foreach(subject: Subject, which: int, seed: int) -> None:
    _engine(subject, which, fused=None, foreach=True)


def engine_fused(subject: Subject, which: int, seed: int) -> None:
    _engine(subject, which, fused=True, foreach=None)


def engine_loop(subject: Subject, which: int, seed: int) -> None:
    _engine(subject, which, fused=None, foreach=False)


def _engine(subject: Subject, which: int, **flags: bool | None) -> None:
    group = subject.group(which)
    if not subject.on_the_loop:
        group.update(flags)


def maximized(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    group["maximize"] = not group["maximize"]


def master_weights(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    group["master_weights"] = not group["master_weights"]


def weights_kept_otherwise(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    master = (False, True, 24, False, False)[seed % 5]
    group["master_weights"] = master
    group["rounding"] = (None, None, None, "kahan", "stochastic")[seed % 5]


def codes_dropped(subject: Subject, which: int, seed: int) -> None:
    subject.group(which)["state_storage"] = None


def codes_of_four_bits(subject: Subject, which: int, seed: int) -> None:
    subject.group(which)["state_storage"] = "4bit"


def codes_of_one_key(subject: Subject, which: int, seed: int) -> None:
    subject.group(which)["state_storage"] = {"exp_avg": "dynamic8"}


def codes_replaced_by_halves(subject: Subject, which: int, seed: int) -> None:
    subject.group(which)["state_storage"] = "bf16"


def amsgrad(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    if "amsgrad" in group:
        group["amsgrad"] = not group["amsgrad"]


def momentum(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    if "momentum" in group:
        group["momentum"] = 0.9 - group["momentum"]


def betas(subject: Subject, which: int, seed: int) -> None:
    group = subject.group(which)
    if "betas" in group:
        group["betas"] = tuple(0.5 * beta + 0.25 for beta in group["betas"])


GROUPS = [
    reversed_,
    first_deleted,
    spliced,
    list_replaced,
    parameter_moved,
    parameter_dropped,
    parameters_reversed,
    parameters_gone,
    in_a_tuple,
    in_a_dictionary,
    in_an_own_sequence,
    in_a_new_list,
    group_added,
    rate_changed,
    rate_as_a_tensor,
    rate_as_a_float,
    decay_changed,
    engine_left_to_us,
    engine_foreach,
    engine_fused,
    engine_loop,
    betas,
]
OTHER_PROGRAMS = [maximized, master_weights, weights_kept_otherwise, amsgrad, momentum]
"""Edits that make another program."""

OTHER_CODES = [codes_dropped, codes_of_four_bits, codes_of_one_key, codes_replaced_by_halves]
"""Edits of how state is kept."""
