"""The names of parameters, on both sides of a checkpoint, and which belong together."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from torch import Tensor, nn

from schuss.contract import Group
from schuss.loading.report import LoadReport, listed

Rename = Mapping[str, str | None] | Callable[[str], str | None]
"""The name of a parameter now, for its name in a checkpoint; None for one that is left out."""

_PREFIXES: Final = ("module.", "_orig_mod.")
"""Prefixes of names in a model that DistributedDataParallel or torch.compile has wrapped."""


class Matched(NamedTuple):
    """Parameters that have a counterpart in a checkpoint.

    Attributes:
        places: The place of the counterpart among the parameters of the checkpoint.
        names: The name of every parameter of the optimizer.
        report: The names of all, for the caller.
    """

    places: dict[Tensor, int]
    names: dict[Tensor, str]
    report: LoadReport


def own_names(groups: Sequence[Group], model: nn.Module | None) -> dict[Tensor, list[str]]:
    """Return the names of each parameter of an optimizer; several for one that a model shares.

    Args:
        groups: The groups of the optimizer.
        model: The model that it trains, if it is known. Its names come after those in the groups.

    Raises:
        ValueError: A parameter has no name.
    """
    found: dict[Tensor, list[str]] = {p: [] for group in groups for p in group["params"]}
    for group in groups:
        for param, name in zip(group["params"], group.get("param_names", ()), strict=False):
            found[param].append(name)
    named = [] if model is None else model.named_parameters(remove_duplicate=False)
    for name, param in named:
        if param in found and name not in found[param]:
            found[param].append(name)
    for number, (param, names) in enumerate(found.items()):
        if not names:
            raise ValueError(
                f"parameter {number} of shape {tuple(param.shape)} has no name"
                + ("; give the model that it belongs to, as in " if model is None else " in ")
                + ("load_by_name(state_dict, model)" if model is None else "the given model")
                + ", or create the optimizer with model.named_parameters()"
            )
    return found


def saved_names(groups: Sequence[Group], given: nn.Module | Iterable[str] | None) -> list[str]:
    """Return the names of the parameters of a checkpoint, in their order.

    Args:
        groups: The groups of the checkpoint.
        given: The names, or the model that was trained; None if the checkpoint has names.

    Raises:
        ValueError: There are no names, or they are not those of the parameters.
    """
    numbers = [number for group in groups for number in group["params"]]
    if given is not None:
        names = list(dict(given.named_parameters()) if isinstance(given, nn.Module) else given)
        if len(names) != len(numbers):
            raise ValueError(
                f"saved_names are {len(names)} names, and the checkpoint has {len(numbers)} "
                "parameters; give one name for each, in the order in which the saved optimizer had "
                "them"
            )
    elif all(isinstance(number, str) for number in numbers):  # of torch.distributed.checkpoint
        names = numbers
    elif all("param_names" in group for group in groups):
        names = [name for group in groups for name in group["param_names"]]
    else:
        raise ValueError(
            "the checkpoint has no names of parameters, because its optimizer was created without "
            "them (with model.parameters() and not model.named_parameters()); give saved_names=, "
            "the model as it was then, or the names in the order in which that optimizer had them; "
            "load_state_dict needs no names if the parameters are the same"
        )
    return _distinct(names, "saved_names" if given is not None else "the checkpoint")


def matched(
    own: Mapping[Tensor, Sequence[str]],
    saved: Sequence[str],
    rename: Rename | None,
    *,
    strict: bool,
) -> Matched:
    """Find the counterparts of parameters.

    Args:
        own: The names of each parameter of the optimizer.
        saved: The names of the parameters in the checkpoint.
        rename: Their names in the optimizer, where these differ.
        strict: Refuse parameters without a counterpart, on both sides, but for those that `rename`
            leaves out.

    Raises:
        ValueError: There are such parameters, or names are ambiguous or unknown.
    """
    renamed = _renamed(saved, rename)
    _distinct([name for name in renamed if name is not None], "rename")
    place_of = {name: place for place, name in enumerate(renamed)}
    found = {
        param: next((place_of[name] for name in names if name in place_of), None)
        for param, names in own.items()
    }
    places = {param: place for param, place in found.items() if place is not None}
    taken = set(places.values())
    names = {param: next((n for n in ns if n in place_of), ns[0]) for param, ns in own.items()}
    report = LoadReport(
        {names[param]: saved[place] for param, place in places.items()},
        tuple(names[param] for param, place in found.items() if place is None),
        tuple(name for place, name in enumerate(saved) if place not in taken),
    )
    left = [saved[p] for p, new in enumerate(renamed) if new is not None and p not in taken]
    if strict and (report.new or left):
        raise ValueError(_refusal(report.new, left))
    return Matched(places, names, report)


def _renamed(saved: Sequence[str], rename: Rename | None) -> list[str | None]:
    if rename is None:
        return list(saved)
    if not isinstance(rename, Mapping):
        return [rename(name) for name in saved]
    for name in rename:
        if name not in saved:
            close = difflib.get_close_matches(str(name), saved, n=3)
            hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "it has others"
            raise ValueError(
                f"rename has {name!r}, which the checkpoint does not have; {hint}{listed(saved)}"
            )
    return [rename.get(name, name) for name in saved]


def _refusal(new: Sequence[str], left: Sequence[str]) -> str:
    """Return why a checkpoint of other parameters is refused, and how it can be loaded."""
    lines = ["the checkpoint has other parameters than the optimizer, and nothing was changed"]
    lines += [f"  in the optimizer only{listed(new)}"] if new else []
    lines += [f"  in the checkpoint only{listed(left)}"] if left else []
    for prefix in _PREFIXES:
        if left and {name.removeprefix(prefix) for name in left} <= set(new):
            lines += [f"remove the prefix with rename=lambda name: name.removeprefix({prefix!r})"]
            return "\n".join(lines)
        if left and {prefix + name for name in left} <= set(new):
            lines += [f"add the prefix with rename=lambda name: {prefix!r} + name"]
            return "\n".join(lines)
    how = "load what both have with strict=False"
    if new and left:
        how = f"name those that were renamed, rename={{{left[0]!r}: {new[0]!r}}}, or {how}"
    return "\n".join([*lines, how])


def _distinct(names: list[Any], whose: str) -> list[str]:
    seen: set[Any] = set()
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{whose} has {name!r} as the name of a parameter; it must be a text")
        if name in seen:
            raise ValueError(f"{whose} has the name {name!r} for two parameters; give each its own")
        seen.add(name)
    return names
