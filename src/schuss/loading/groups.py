"""The form of a checkpoint, and its groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from schuss.contract import Group, State
from schuss.hyperparameters import EXECUTION_OPTIONS, OPTION_DEFAULTS
from schuss.transforms import WeightDecay

_OF_ALL = frozenset(
    {
        *("params", "param_names", "lr"),
        *WeightDecay().defaults(),
        *OPTION_DEFAULTS,
        # What the schedulers of torch put into groups.
        *("initial_lr", "max_lr", "min_lr", "swa_lr", "base_momentum", "max_momentum"),
    }
)
"""Keys of groups that every optimizer has, so that they do not tell which one saved a group."""


class Checkpoint(NamedTuple):
    """A `state_dict` whose form has been checked.

    Attributes:
        state: The states, by the number of their parameter.
        groups: The groups, with the numbers of their parameters under `params`.
    """

    state: Mapping[Any, Any]
    groups: Sequence[Group]


def read(state_dict: Any, groups: Sequence[Group]) -> Checkpoint:
    """Check the form of a `state_dict`, whose groups must have as many parameters as ours.

    Raises:
        TypeError: A part of it is not of its type.
        ValueError: A part is missing, or the parameters are not those of `groups`.
    """
    _check_type("the loaded state dict", state_dict, Mapping, "a dictionary")
    for key in ("state", "param_groups"):
        if key not in state_dict:
            raise ValueError(
                f"the loaded state dict has no {key!r}, but {_listed(state_dict)}; load what "
                "state_dict() returned, or unwrap it in a hook (register_load_state_dict_pre_hook)"
            )
    state, saved = state_dict["state"], state_dict["param_groups"]
    _check_type("'state' of the loaded state dict", state, Mapping, "a dictionary")
    _check_type("'param_groups' of the loaded state dict", saved, (list, tuple), "a list")
    if len(saved) != len(groups):
        raise ValueError(
            "the loaded state dict has a different number of parameter groups: "
            f"{len(saved)}, but the optimizer has {len(groups)}"
        )
    numbers: set[Any] = set()
    for index, (group, own) in enumerate(zip(saved, groups, strict=True)):
        for number in _params(index, group, own):
            if number in numbers:
                raise ValueError(f"the loaded parameter groups have parameter {number!r} twice")
            numbers.add(number)
    for number in state:
        # State under other keys is of no parameter, and kept, as torch.optim does.
        if isinstance(number, int) and number not in numbers:
            raise ValueError(
                f"the loaded state dict has state of parameter {number}, which is in none of its "
                "groups"
            )
    return Checkpoint(state, saved)


def merged(group: Group, saved: Group) -> Group:
    """Return a group with the hyper-parameters of a saved one.

    Options that say how a step is run stay as they are; so do hyper-parameters that the saved group
    lacks.
    """
    kept = ("params", *EXECUTION_OPTIONS)
    new = {key: deepcopy(value) for key, value in saved.items() if key not in kept}
    return {**group, **new}


def foreign(name: str, groups: Sequence[Group], saved: Sequence[Group]) -> frozenset[str]:
    """Return the hyper-parameters of saved groups that an optimizer does not have.

    Args:
        name: The name of the optimizer in messages.
        groups: The groups of the optimizer.
        saved: The groups of a checkpoint.

    Raises:
        ValueError: The checkpoint has none of the optimizer's own hyper-parameters, and so is of
            another optimizer.
    """
    ours = {key for group in groups for key in group} - _OF_ALL
    theirs = {key for group in saved for key in group} - _OF_ALL
    if ours and theirs and not ours & theirs:
        raise ValueError(
            f"the loaded parameter groups have {_listed(sorted(theirs))}, and nothing of what "
            f"{name} needs, {_listed(sorted(ours))}: they were saved by another optimizer"
        )
    return frozenset(theirs - ours)


def described(number: int, group: Group, position: int) -> str:
    """Return a description of a parameter for messages, with its name if it has one."""
    shape = f"of shape {tuple(group['params'][position].shape)}"
    names = group.get("param_names")
    if isinstance(names, (list, tuple)) and len(names) > position:
        return f"parameter {names[position]!r} {shape}"
    return f"parameter {position} {shape} of group {number}"


def of_parameter(where: str, saved: Any) -> State:
    """Return a copy of the state of one parameter in a checkpoint: empty, or values by name.

    Raises:
        TypeError: It is something else.
    """
    if saved is None:  # torch's ZeroRedundancyOptimizer puts it in place of what others keep
        return {}
    _check_type(f"the loaded state of {where}", saved, Mapping, "a dictionary")
    return dict(saved)


def _params(index: int, saved: Any, own: Group) -> Sequence[Any]:
    """Return the numbers of the parameters of a saved group."""
    _check_type(f"the loaded parameter group {index}", saved, Mapping, "a dictionary")
    if "params" not in saved:
        raise ValueError(
            f"the loaded parameter group {index} has no 'params', but {_listed(saved)}"
        )
    of_group = f"of the loaded parameter group {index}"
    params: Sequence[Any] = saved["params"]
    _check_type(f"'params' {of_group}", params, (list, tuple), "a list of numbers")
    count = len(own["params"])
    if len(params) != count:
        raise ValueError(
            "the loaded state dict contains a parameter group that doesn't match the size of "
            f"optimizer's group: group {index} has {len(params)} parameters, the optimizer's "
            f"{count}"
        )
    for number in params:
        _check_type(f"a parameter in 'params' {of_group}", number, (int, str), "its number")
    names = saved.get("param_names")
    if names is not None:
        _check_type(f"'param_names' {of_group}", names, (list, tuple), "a list of names")
        if len(names) != count:
            raise ValueError(f"'param_names' {of_group} are {len(names)}, for {count} parameters")
    return params


def _check_type(noun: str, value: object, kind: type | tuple[type, ...], allowed: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{noun} is of type {type(value).__name__}; it must be {allowed}")


def _listed(keys: Iterable[Any]) -> str:
    return ", ".join(map(repr, keys)) or "nothing"
