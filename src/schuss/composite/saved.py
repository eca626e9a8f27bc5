"""Checkpoints of a composite, and those of several optimizers in its place.

A training with two optimizers has two checkpoints, which are given as a list in the order of the
parts. The class `MuonWithAuxAdam` of Keller Jordan's package has both in one, with a flag
`use_muon` in each group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from torch import Tensor

from schuss.composite.parts import ALGORITHM
from schuss.composite.usual import VIEWS
from schuss.contract import Group
from schuss.loading import one_of

if TYPE_CHECKING:
    from schuss.optimizer import Optimizer

_FLAG: Final = "use_muon"


class Saved(NamedTuple):
    """The checkpoint of one part.

    Attributes:
        part: The name of the part.
        groups: The saved groups.
        state: The saved states, by the numbers of the parameters in these groups.
    """

    part: str
    groups: Sequence[Mapping[str, Any]]
    state: Mapping[Any, Any]


def as_own(
    state_dict: Any,
    groups: Sequence[Group],
    parts: Mapping[str, Optimizer],
    order: Sequence[Tensor],
    keep: Sequence[str] = (),
) -> Any:
    """Return a checkpoint in the form of a composite.

    Args:
        state_dict: A checkpoint of a composite, a list with one for each part, or one with flags.
        groups: The groups of the composite.
        parts: Its parts by name.
        order: Its parameters in the order of the model, in which another optimizer had them.
        keep: Hyper-parameters that are not taken from the checkpoint.

    Raises:
        ValueError: A group is of another part, or the parameters do not fit.
        TypeError: The list has something else than checkpoints.
    """
    if isinstance(state_dict, (list, tuple)):
        return _rearranged(_of_each_part(state_dict, parts), groups, order, keep)
    saved = state_dict.get("param_groups") if isinstance(state_dict, Mapping) else None
    if not isinstance(saved, (list, tuple)) or not all(isinstance(g, Mapping) for g in saved):
        return state_dict  # which the loader refuses
    if any(_FLAG in group for group in saved):
        return _rearranged(_by_flag(saved, state_dict.get("state", {}), parts), groups, order, keep)
    for number, (theirs, own) in enumerate(zip(saved, groups, strict=False)):
        part = theirs.get(ALGORITHM)
        if part != own[ALGORITHM]:
            whose = f"is of the part {part!r}" if part else "names no part"
            raise ValueError(
                f"the loaded parameter group {number} {whose}, and that of the optimizer is of "
                f"{own[ALGORITHM]!r}; load a checkpoint of the same parts and routes, or a list "
                f"with one for each part ({', '.join(parts)})"
            )
    return state_dict


def as_one(given: Sequence[Any], parts: Mapping[str, Optimizer]) -> dict[str, Any]:
    """Return one checkpoint of those of several optimizers, in the order of the parts.

    Raises:
        ValueError: There are more or fewer than parts.
        TypeError: Something else is among them.
    """
    state: dict[Any, Any] = {}
    groups: list[dict[str, Any]] = []
    for saved in _of_each_part(given, parts):
        place = {n: (saved.part, n) for group in saved.groups for n in group["params"]}
        state.update({place.get(key, key): value for key, value in saved.state.items()})
        groups += [{**g, "params": [place[n] for n in g["params"]]} for g in saved.groups]
    numbers = {key: n for n, key in enumerate(k for group in groups for k in group["params"])}
    return {
        "state": {numbers.get(key, key): value for key, value in state.items()},
        "param_groups": [{**g, "params": [numbers[k] for k in g["params"]]} for g in groups],
    }


def _of_each_part(given: Sequence[Any], parts: Mapping[str, Optimizer]) -> list[Saved]:
    if len(given) != len(parts):
        raise ValueError(
            f"there are {len(given)} checkpoints in the loaded list, and {len(parts)} parts: "
            f"{', '.join(parts)}"
        )
    found = []
    for part, each in zip(parts, given, strict=True):
        keys = each.keys() if isinstance(each, Mapping) else ()
        if not {"state", "param_groups"} <= set(keys):
            raise TypeError(
                f"the checkpoint for the part {part!r} is of type {type(each).__name__}; it must "
                "be a dictionary with 'state' and 'param_groups', as state_dict() returns"
            )
        found.append(Saved(part, each["param_groups"], each["state"]))
    return found


def _by_flag(
    saved: Sequence[Mapping[str, Any]], state: Mapping[Any, Any], parts: Mapping[str, Optimizer]
) -> list[Saved]:
    of_matrices = [name for name, part in parts.items() if VIEWS in part.defaults]
    others = [name for name in parts if name not in of_matrices]
    if len(of_matrices) != 1 or len(others) != 1:
        raise ValueError(
            f"the loaded groups have the flag {_FLAG!r}, and so are for one part for matrices and "
            f"another one; for matrices there are {of_matrices}, and others are {others}"
        )
    by_part: dict[str, list[Mapping[str, Any]]] = {name: [] for name in parts}
    for group in saved:
        by_part[of_matrices[0] if group.get(_FLAG) else others[0]].append(group)
    return [Saved(part, own, state) for part, own in by_part.items()]


def _rearranged(
    saved: Iterable[Saved],
    groups: Sequence[Group],
    order: Sequence[Tensor],
    keep: Sequence[str],
) -> dict[str, Any]:
    """Return one checkpoint with the groups of a composite, and what was saved for each part."""
    place = {param: number for number, param in enumerate(order)}
    numbers = {param: n for n, param in enumerate(p for g in groups for p in g["params"])}
    state: dict[Any, Any] = {}
    loaded: list[dict[str, Any]] = [{}] * len(groups)
    for each in saved:
        own = [n for n, group in enumerate(groups) if group[ALGORITHM] == each.part]
        params = [param for n in own for param in groups[n]["params"]]
        params.sort(key=lambda param: place.get(param, len(place)))
        found = _paired(each, params, [groups[n] for n in own])
        for param, (number, _) in found.items():
            if number in each.state:
                state[numbers[param]] = each.state[number]
        for n in own:
            params_of = [numbers[param] for param in groups[n]["params"]]
            names = dict(_named(groups[n]))
            of_each = {
                names.get(param, f"parameter {numbers[param]}"): found[param][1]
                for param in groups[n]["params"]
            }
            values = one_of(n, of_each, (_FLAG, *keep)) if of_each else {}
            loaded[n] = {**values, "params": params_of, ALGORITHM: each.part}
    return {"state": state, "param_groups": loaded}


_Pairs = dict[Tensor, tuple[Any, Mapping[str, Any]]]


def _paired(saved: Saved, params: Sequence[Tensor], groups: Sequence[Group]) -> _Pairs:
    """Return the number of each parameter in a checkpoint, and its group there.

    They are matched by name where both have names. Otherwise both have the order of the model; but
    `MuonWithAuxAdam` sorts matrices by shape, and those of one shape keep their order.
    """
    theirs = [(number, group) for group in saved.groups for number in group["params"]]
    if len(theirs) != len(params):
        raise ValueError(
            f"the checkpoint for the part {saved.part!r} has {len(theirs)} parameters, and the "
            f"part has {len(params)}; it must be of the same parameters"
        )
    names = [name for group in saved.groups for name in group.get("param_names", ())]
    own = {param: name for group in groups for param, name in _named(group)}
    if len(names) == len(theirs) and len(own) == len(params):
        by_name = dict(zip(names, theirs, strict=True))
        missing = [own[param] for param in params if own[param] not in by_name]
        if missing:
            raise ValueError(
                f"the checkpoint for the part {saved.part!r} has no parameter {missing[0]!r}"
            )
        return {param: by_name[own[param]] for param in params}
    if len(saved.groups) == 1 and saved.groups[0].get(_FLAG):
        by_shape = sorted(params, key=lambda param: tuple(param.shape), reverse=True)
        shapes = [_shape(saved.state.get(number)) for number, _ in theirs]
        if all(s in (None, p.shape) for s, p in zip(shapes, by_shape, strict=True)):
            return dict(zip(by_shape, theirs, strict=True))
    return dict(zip(params, theirs, strict=True))


def _named(group: Group) -> list[tuple[Tensor, str]]:
    names = group.get("param_names", ())
    return list(zip(group["params"], names, strict=True)) if names else []


def _shape(state: Any) -> Any:
    buffer = state.get("momentum_buffer") if isinstance(state, Mapping) else None
    return buffer.shape if isinstance(buffer, Tensor) else None
