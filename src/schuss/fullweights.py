"""The weights of a model in full, of which parameters in half precision are a part.

The rest of a weight is in the state of its optimizer; see `storage.master`. To go on in
float32, or on a device that has no bfloat16, both have to come together again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from schuss.contract import Group, State, Stateful
from schuss.engines import Engine
from schuss.evaluation import Evaluation
from schuss.storage.master import weight_of
from schuss.storage.precision import HALF


class Weighted(Stateful, Protocol):
    """The part of an optimizer that weights are read from and written to."""

    param_groups: list[Group]

    @property
    def state(self) -> defaultdict[Any, State]:
        """The state of every parameter."""


def full_weight(optimizer: Weighted, evaluation: Evaluation, param: Tensor) -> Tensor:
    """Return a copy of the trained weight of a parameter; see `master` of an optimizer."""
    if all(param is not each for each, _ in _params(optimizer)):
        raise ValueError(
            f"{type(optimizer).__name__} has no such parameter, of shape {tuple(param.shape)}"
        )
    return _full(optimizer, evaluation.trained.get(param, param), param).clone()


def full_state_dict(
    optimizer: Weighted, evaluation: Evaluation, model: nn.Module
) -> dict[str, Any]:
    """Return what a model holds, in float32 at least; see `float32_state_dict` of an optimizer."""
    found: dict[str, Any] = model.state_dict(keep_vars=True)
    own = {id(param): param for param, _ in _params(optimizer)}
    for name, value in found.items():
        if not isinstance(value, Tensor):
            continue
        if id(value) in own and value not in evaluation.trained:
            found[name] = _full(optimizer, value, value)
        else:
            found[name] = value.detach().float() if value.dtype in HALF else value.detach()
    return found


def load_full_state_dict(
    optimizer: Weighted,
    engine: Engine,
    evaluation: Evaluation,
    model: nn.Module,
    state_dict: Mapping[str, Any],
    *,
    strict: bool,
) -> Any:
    """Fill a model, and the states with what it cannot hold; see `load_float32_state_dict`."""
    if evaluation.is_on:
        raise RuntimeError(
            f"{type(optimizer).__name__} cannot load weights while evaluating; call "
            "`optimizer.train()` first, or leave the `with optimizer.evaluating()`"
        )
    result = model.load_state_dict(state_dict, strict=strict)
    groups = {id(param): group for param, group in _params(optimizer)}
    engine.exposed_state()
    with torch.no_grad():
        for name, param in model.state_dict(keep_vars=True).items():
            if name not in state_dict or id(param) not in groups or param.dtype not in HALF:
                continue
            weight = state_dict[name].detach().to(param.device, torch.float32)
            engine.kept.set_weight(optimizer, groups[id(param)], param, weight)
    return result


def _full(optimizer: Weighted, weights: Tensor, param: Tensor) -> Tensor:
    with torch.no_grad():
        return weight_of(optimizer.state.get(param) or {}, weights).detach()


def _params(optimizer: Weighted) -> Iterator[tuple[Tensor, Group]]:
    return ((param, group) for group in optimizer.param_groups for param in group["params"])
