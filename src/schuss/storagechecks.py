"""Checks that the keys of `state_storage` are keys of a state that can be kept so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from schuss.contract import Group, Measure, Rule, Stateful
from schuss.engines import tried
from schuss.storage.codecs import CODECS
from schuss.storage.codecs.policy import OTHERS


class Ruled(Protocol):
    """The part of an optimizer that tells of its rule."""

    def whole_rule(self) -> Rule:
        """Return the rule that a step calls for each parameter, transforms included."""

    def measurements(self) -> list[Measure]:
        """Return the measurements that a step makes of all parameters before the rule."""


def check_stored_keys(optimizer: Stateful, algorithm: Ruled, group: Group) -> None:
    """Refuse a key of `state_storage` that no state has, as a step on trial leaves it.

    A rule that cannot be tried here, one that needs a Hessian, say, has no key refused.

    Args:
        optimizer: The optimizer.
        algorithm: The one whose rule the group has.
        group: The group.

    Raises:
        ValueError: There is such a key, or one names a codec for a complex parameter.
    """
    storage = group.get("state_storage")
    if not isinstance(storage, Mapping):
        return
    keys = [key for key in storage if key != OTHERS]
    _check_complex(storage, keys, group)
    params = [param for param in group["params"] if _can_be_tried(param)]
    if not keys or not params:
        return
    known = _keys_of_state(optimizer, algorithm, group, params[0])
    strange = [key for key in keys if key not in known] if known is not None else []
    if strange:
        listed = ", ".join(map(repr, known or ())) or "none"
        raise ValueError(
            f"Invalid state_storage value: {storage!r}; the state has no tensor {strange[0]!r} "
            f"like its parameter, but these: {listed}"
        )


def _check_complex(storage: Mapping[str, str], keys: Sequence[str], group: Group) -> None:
    """Refuse a codec that is named for the state of a complex parameter, which none can keep."""
    key = next((key for key in keys if storage[key] in CODECS), None)
    param = next((each for each in group["params"] if each.is_complex()), None)
    if key is not None and param is not None:
        raise ValueError(
            f"Invalid state_storage[{key!r}] value: {storage[key]!r}; codecs are for real numbers, "
            f"and the state of a parameter of shape {tuple(param.shape)} is {param.dtype}, which "
            f"stays as it is: give complex parameters a group without {key!r} in state_storage"
        )


def _can_be_tried(param: object) -> bool:
    plain = type(param) in (Tensor, torch.nn.Parameter)
    return plain and isinstance(param, Tensor) and param.is_floating_point() and param.numel() > 1


def _keys_of_state(
    optimizer: Stateful, algorithm: Ruled, group: Group, param: Tensor
) -> Sequence[str] | None:
    """Return the keys of tensors like the parameter; None if no step can be tried."""
    plain = {**group, "state_storage": None, "master_weights": False, "rounding": None}
    try:
        rule, measures = algorithm.whole_rule(), algorithm.measurements()
        state = tried(optimizer, rule, measures, plain, param, {})
    except Exception:  # noqa: BLE001  # a stranger's rule raises what it likes
        return None
    return [k for k, v in state.items() if isinstance(v, Tensor) and v.shape == param.shape]
