"""Sums over parameters, which a rule finds in its group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from schuss.contract import Group, Measure, Rule, State
from schuss.storage.numbers import NUMBER
from schuss.storage.precision import computed_dtype
from schuss.storage.ranks import over_ranks


def measuring(measure: Measure) -> Rule:
    """Return a rule that leaves in the state what is measured, and nothing else."""

    def rule(state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        measured = measure(state, group, grad, param)
        state.clear()
        state.update(measured)

    return rule


def added_up(measured: Sequence[Mapping[str, Tensor | float]]) -> dict[str, Tensor | float]:
    """Add up what was measured of each parameter, in float64, and over all ranks.

    Raises:
        TypeError: It is not one number for each parameter.
    """
    sums: dict[str, Tensor | float] = {}
    for key in measured[0] if measured else ():
        values = [_as_number(each[key]) for each in measured]
        for value in values:
            if value.dim():
                raise TypeError(
                    f"what is measured has to be one number for each parameter, but {key!r} has "
                    f"shape {tuple(value.shape)}; take its sum or its norm"
                )
        sums[key] = torch.stack(over_ranks(values)).sum()
    return sums


def _as_number(value: Tensor | float) -> Tensor:
    if isinstance(value, Tensor):
        return value.to(NUMBER)
    return torch.tensor(value, dtype=NUMBER, device="cpu")


def with_sums(
    groups: Sequence[Group],
    sums: Sequence[Mapping[str, Tensor | float] | None],
    sharing: Sequence[object],
) -> list[Group]:
    """Return groups in which a rule finds sums over parameters, beside earlier ones.

    Args:
        groups: The groups.
        sums: For each of them, what was measured of its parameters, added up; None where nothing
            was measured, and the group stays as it is.
        sharing: Groups with the same value here share their sums, as in a `Pass`.
    """
    over_all: dict[object, dict[str, Tensor | float]] = {}
    for found, by in zip(sums, sharing, strict=True):
        shared = over_all.setdefault(by, {})
        for key, value in (found or {}).items():
            shared[key] = plus(shared[key], value) if key in shared else value
    return [
        group
        if found is None
        else {
            **group,
            "sums_over_group": {**group.get("sums_over_group", {}), **_for(group, found)},
            "sums_over_all": {**group.get("sums_over_all", {}), **_for(group, over_all[by])},
        }
        for group, found, by in zip(groups, sums, sharing, strict=True)
    ]


def in_precision_of(grad: Tensor, group: Group) -> Group:
    """Return a group whose sums have the precision of one gradient, as its rule sees it."""
    own: Group = {}
    for key in ("sums_over_group", "sums_over_all"):
        if key in group:
            own[key] = {name: total.to(grad.dtype) for name, total in group[key].items()}
    return {**group, **own} if own else group


def plus(x: Tensor | float, y: Tensor | float) -> Tensor | float:
    """Return a sum, of tensors on the device of the first."""
    return x + y.to(x) if isinstance(x, Tensor) and isinstance(y, Tensor) else x + y


def _for(group: Group, sums: Mapping[str, Tensor | float]) -> dict[str, Tensor]:
    """Return sums in the precision and on the device of a group's rule, so that they fit there."""
    param = group["params"][0] if group["params"] else None
    dtype, device = (param.dtype, param.device) if param is not None else (NUMBER, "cpu")
    dtype = computed_dtype(dtype)
    # A number of Python goes up by a kernel that fills, because a copy of it would wait.
    return {
        key: value.to(device, dtype)
        if isinstance(value, Tensor)
        else torch.full((), value, dtype=dtype, device=device)
        for key, value in sums.items()
    }
