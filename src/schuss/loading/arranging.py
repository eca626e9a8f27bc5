"""A checkpoint, arranged by names in the groups and the order of another optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Protocol

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.loading.groups import Checkpoint
from schuss.loading.names import Matched
from schuss.loading.rules import check_rule


class Arranged(Protocol):
    """The part of an optimizer whose groups and order a checkpoint is given."""

    param_groups: list[Group]

    @property
    def state(self) -> Mapping[Any, State]:
        """The state of every parameter, which those without a counterpart keep."""

    def algorithm_of(self, group: Group) -> object:
        """Return the optimizer whose rule a group has."""


def arranged(
    checkpoint: Checkpoint, optimizer: Arranged, found: Matched, keep: Sequence[str]
) -> dict[str, Any]:
    """Return a checkpoint that has the groups and the parameters of an optimizer.

    Args:
        checkpoint: The checkpoint as it was saved.
        optimizer: The optimizer.
        found: The counterparts of its parameters.
        keep: Hyper-parameters that are not taken from the checkpoint.

    Raises:
        ValueError: A parameter was saved by another rule than its own, or a group would have two
            values of a hyper-parameter.
    """
    theirs = [(number, group) for group in checkpoint.groups for number in group["params"]]
    of_parameters = {number for number, _ in theirs}
    state = {key: value for key, value in checkpoint.state.items() if key not in of_parameters}
    groups: list[Group] = []
    own_numbers = count()
    for number, group in enumerate(optimizer.param_groups):
        saved: dict[str, Group] = {}
        numbers = []
        for param, own_number in zip(group["params"], own_numbers, strict=False):
            numbers.append(own_number)
            if param in found.places:
                saved_number, saved[found.names[param]] = theirs[found.places[param]]
                kept = checkpoint.state.get(saved_number)
            else:
                kept = optimizer.state.get(param)
            if kept is not None:
                state[own_number] = kept
        _check_rules(optimizer.algorithm_of(group), saved, found)
        values = one_of(number, saved, keep) if saved else group
        groups.append({**values, "params": numbers})
    return {"state": state, "param_groups": groups}


def _check_rules(algorithm: object, saved: Mapping[str, Group], found: Matched) -> None:
    """Check that the parameters of a group were saved by the rule that is going to step them."""
    for name, group in saved.items():
        leave_out = f"leave it out with rename={{{found.report.matched[name]!r}: None}}, "
        check_rule(f"parameter {name!r}", algorithm, group, leave_out)


def one_of(
    number: int, saved: Mapping[str, Mapping[str, Any]], keep: Sequence[str]
) -> dict[str, Any]:
    """Return the hyper-parameters of one group, whose parameters may be of several saved groups.

    Args:
        number: The number of the group.
        saved: The saved group of each of its parameters, by the name of the parameter.
        keep: Hyper-parameters that are not taken from any.

    Raises:
        ValueError: The saved groups differ in a hyper-parameter.
    """
    left_out = {"params", "param_names", *keep}
    [(first, values), *others] = saved.items()
    for name, other in others:
        if other is values:
            continue
        differing = [key for key in {**values, **other} if not _equal(values, other, key)]
        differing = [key for key in differing if key not in left_out]
        if differing:
            key = differing[0]
            raise ValueError(
                f"parameters of the group {number} were saved with several values of "
                f"{', '.join(map(repr, differing))}: {key!r} of {first} is {values.get(key)!r}, "
                f"and of {name} {other.get(key)!r}; give them groups of their own, or keep the "
                f"value that the group has with keep={tuple(differing)!r}"
            )
    return {key: value for key, value in values.items() if key not in left_out}


def _equal(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> bool:
    """Tell whether two groups have the same value under a key, or both have none."""
    if key not in one or key not in other:
        return False
    mine, theirs = one[key], other[key]
    if isinstance(mine, Tensor) and isinstance(theirs, Tensor):
        return torch.equal(mine, theirs)
    return bool(mine == theirs)


def names_moved(saved: Sequence[Group], own: Sequence[Group]) -> list[str]:
    """Return the names that both sides have at different places, which loading by number mixes up.

    Args:
        saved: The groups of a checkpoint.
        own: The groups of the optimizer, of the same sizes.
    """
    theirs, ours = (
        [name for group in groups for name in group.get("param_names", ())]
        for groups in (saved, own)
    )
    if len(theirs) != len(ours):
        return []
    both = set(ours)
    return [n for n, other in zip(theirs, ours, strict=True) if n != other and n in both]
