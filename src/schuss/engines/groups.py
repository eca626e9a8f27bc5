"""Parameter groups as an engine takes them: which engines they ask for, and who has a gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from schuss.contract import Batch, Group, Stateful
from schuss.storage.precision import computable


def wanted(group: Group) -> tuple[str, ...]:
    """Return the engines that a group may run on, the fastest first."""
    if group["differentiable"]:
        return ("loop",)
    if group["fused"]:
        return ("fused",)
    if group["foreach"]:
        return ("foreach",)
    if group["fused"] is None and group["foreach"] is None:
        return ("fused", "foreach", "loop")
    return ("loop",)


def with_gradient(optimizer: Stateful, group: Group) -> Batch:
    """Return the parameters that have a gradient.

    Raises:
        RuntimeError: A gradient is sparse.
    """
    params = [param for param in group["params"] if param.grad is not None]
    grads = [param.grad for param in params]
    for param, grad in zip(params, grads, strict=True):
        if grad.layout is not torch.strided:
            raise RuntimeError(
                f"{type(optimizer).__name__} does not support sparse gradients, please consider "
                f"SparseAdam instead (the gradient of a parameter of shape {tuple(param.shape)} "
                f"has layout {grad.layout})"
            )
    return Batch(group, params, grads)


def added_up(measured: Sequence[Mapping[str, Tensor | float]]) -> dict[str, Tensor]:
    """Add up what was measured of each parameter, in float64.

    Raises:
        TypeError: It is not one number for each parameter.
    """
    sums = {}
    for key in measured[0] if measured else ():
        values = [torch.as_tensor(each[key]) for each in measured]
        for value in values:
            if value.dim():
                raise TypeError(
                    f"what is measured has to be one number for each parameter, but {key!r} has "
                    f"shape {tuple(value.shape)}; take its sum or its norm"
                )
        sums[key] = torch.stack([value.double() for value in values]).sum()
    return sums


def with_sums(groups: Sequence[Group], sums: Sequence[Mapping[str, Tensor]]) -> list[Group]:
    """Return copies of groups in which a rule finds sums over parameters, beside earlier ones.

    Args:
        groups: The groups.
        sums: For each of them, what was measured of its parameters, added up.
    """
    over_all: dict[str, Tensor] = {}
    for found in sums:
        for key, value in found.items():
            over_all[key] = over_all[key] + value.to(over_all[key]) if key in over_all else value
    return [
        {
            **group,
            "sums_over_group": {**group.get("sums_over_group", {}), **_for(group, found)},
            "sums_over_all": {**group.get("sums_over_all", {}), **_for(group, over_all)},
        }
        for group, found in zip(groups, sums, strict=True)
    ]


def _for(group: Group, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return sums in the precision and on the device of a group's rule, so that they fit there."""
    if not group["params"]:
        return dict(sums)
    param = group["params"][0]
    like = computable(torch.empty(0, dtype=param.dtype, device=param.device))
    return {key: value.to(like) for key, value in sums.items()}
