"""The form of a checkpoint, and its groups."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, NamedTuple

import torch

from schuss.contract import Group, State
from schuss.hyperparameters import EXECUTION_OPTIONS, OPTION_DEFAULTS
from schuss.loading.rules import RULE
from schuss.storage.codecs.saved import put_together
from schuss.transforms import WeightDecay

_NOTES: Final[Mapping[str, Sequence[str]]] = {
    "lr": ("initial_lr", "max_lr", "min_lr", "swa_lr"),
    "momentum": ("base_momentum", "max_momentum"),
    "betas": ("base_momentum", "max_momentum"),
}
"""Notes that the schedulers of torch put into groups, by the hyper-parameter that they schedule."""

_OF_ALL: Final = frozenset(
    {
        *("params", "param_names", "lr", RULE),
        *WeightDecay().defaults(),
        *OPTION_DEFAULTS,
        *(note for notes in _NOTES.values() for note in notes),
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


def read(state_dict: Any) -> Checkpoint:
    """Check the form of a `state_dict`.

    Raises:
        TypeError: A part of it is not of its type.
        ValueError: A part is missing, or contradicts another one.
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
    numbers: set[Any] = set()
    for index, group in enumerate(saved):
        for number in _params(index, group):
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


def check_sizes(saved: Sequence[Group], groups: Sequence[Group]) -> None:
    """Check that the groups of a checkpoint have as many parameters as those of an optimizer.

    Raises:
        ValueError: There are more or fewer groups, or parameters in a group.
    """
    hint = "load_by_name matches parameters by their names, in whatever groups they are"
    if len(saved) != len(groups):
        raise ValueError(
            "the loaded state dict has a different number of parameter groups: "
            f"{len(saved)}, but the optimizer has {len(groups)}; {hint}"
        )
    for index, (theirs, own) in enumerate(zip(saved, groups, strict=True)):
        if len(theirs["params"]) != len(own["params"]):
            raise ValueError(
                "the loaded state dict contains a parameter group that doesn't match the size of "
                f"optimizer's group: group {index} has {len(theirs['params'])} parameters, the "
                f"optimizer's {len(own['params'])}; {hint}"
            )


def kept(keep: Sequence[str], groups: Sequence[Group]) -> frozenset[str]:
    """Return the keys of groups that a checkpoint does not change.

    Args:
        keep: Hyper-parameters that the caller wants to keep. The notes of torch's schedulers on
            one of them are kept with it.
        groups: The groups of the optimizer.

    Raises:
        TypeError: It is one name, and no sequence of names.
        ValueError: No group has such a hyper-parameter.
    """
    if isinstance(keep, str):
        raise TypeError(f"keep={keep!r} is one name; write keep=({keep!r},)")
    known = {key for group in groups for key in group} - {"params", "param_names"}
    for key in keep:
        if key not in known:
            raise ValueError(
                f"keep has {key!r}, and the groups have no such hyper-parameter; they have "
                f"{_listed(sorted(known))}"
            )
    notes = [note for key in keep for note in _NOTES.get(key, ())]
    return frozenset({"params", RULE, *EXECUTION_OPTIONS, *keep, *notes})


def merged(group: Group, saved: Group, left: Collection[str]) -> Group:
    """Return a group with the hyper-parameters of a saved one, but for some keys.

    Hyper-parameters that the saved group lacks stay as they are.
    """
    return {**group, **{key: deepcopy(value) for key, value in saved.items() if key not in left}}


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


def described(number: int, group: Group, position: int, names: Mapping[Any, str]) -> str:
    """Return a description of a parameter for messages, with its name if it has one.

    Args:
        number: The number of its group.
        group: The group.
        position: Its place in the group.
        names: The names of parameters, where the caller knows them.
    """
    param, in_group = group["params"][position], group.get("param_names")
    shape = f"of shape {tuple(param.shape)}"
    if param in names:
        return f"parameter {names[param]!r} {shape}"
    if isinstance(in_group, (list, tuple)) and len(in_group) > position:
        return f"parameter {in_group[position]!r} {shape}"
    return f"parameter {position} {shape} of group {number}"


def of_parameter(where: str, shape: torch.Size, saved: Any) -> State:
    """Return a copy of the state of one parameter in a checkpoint: empty, or values by name.

    Raises:
        TypeError: It is something else.
        ValueError: A part of an encoded tensor is missing or does not fit.
    """
    if saved is None:  # torch's ZeroRedundancyOptimizer puts it in place of what others keep
        return {}
    _check_type(f"the loaded state of {where}", saved, Mapping, "a dictionary")
    return put_together(where, shape, dict(saved))


def _params(index: int, saved: Any) -> Sequence[Any]:
    """Return the numbers of the parameters of a saved group."""
    _check_type(f"the loaded parameter group {index}", saved, Mapping, "a dictionary")
    if "params" not in saved:
        raise ValueError(
            f"the loaded parameter group {index} has no 'params', but {_listed(saved)}"
        )
    of_group = f"of the loaded parameter group {index}"
    params: Sequence[Any] = saved["params"]
    _check_type(f"'params' {of_group}", params, (list, tuple), "a list of numbers")
    for number in params:
        _check_type(f"a parameter in 'params' {of_group}", number, (int, str), "its number")
    names = saved.get("param_names")
    if names is not None:
        _check_type(f"'param_names' {of_group}", names, (list, tuple), "a list of names")
        if len(names) != len(params):
            raise ValueError(
                f"'param_names' {of_group} are {len(names)}, for {len(params)} parameters"
            )
    return params


def _check_type(noun: str, value: object, kind: type | tuple[type, ...], allowed: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{noun} is of type {type(value).__name__}; it must be {allowed}")


def _listed(keys: Iterable[Any]) -> str:
    return ", ".join(map(repr, keys)) or "nothing"
