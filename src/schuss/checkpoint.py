"""Checkpoints: `state_dict` and `load_state_dict`, exchangeable with `torch.optim`.

Three things differ from torch's own loading. Values take the type and the precision of what the
optimizer would itself have put there (`torch.optim` casts them to the parameter's, and float32
moments of bfloat16 parameters are gone). They are copied, so that two optimizers never share a
tensor. And nothing is changed until all of it has been checked.
"""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.engines import CompiledSteps, Engine
from schuss.engines.loop import initial_state
from schuss.hyperparameters import EXECUTION_OPTIONS
from schuss.storage import master
from schuss.storage.precision import scalar_dtype


class Checkpointed(CompiledSteps, torch.optim.Optimizer):
    """The part of an optimizer that is saved and loaded, pickled and copied."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the groups, in the form of `torch.optim`: `step` is a 0-d tensor."""
        self._end_compiled()
        saved = super().state_dict()
        state = {key: packed(value) for key, value in saved["state"].items()}
        return {**saved, "state": state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore state and hyper-parameters from a `state_dict`, ours or one of `torch.optim`.

        Tensors are copied, to the precision in which this optimizer keeps them. How a step is run
        (`foreach`, `fused`, `capturable`, `differentiable`) stays as it was constructed.

        Args:
            state_dict: What `state_dict` returned.

        Raises:
            ValueError: It is of other parameters, of another optimizer, or has a value outside of
                its domain. Nothing has been changed then.
        """
        load(self, state_dict)

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickling and copying keep: all but hooks and wrappers around `step`."""
        dropped = ("step", "_zero_grad_profile_name", "_engine")
        kept = {
            key: value
            for key, value in self.__dict__.items()
            if not key.startswith("_optimizer_") and key not in dropped
        }
        return {**kept, "state": self.state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what `__getstate__` returned, or a part of it."""
        state = dict(state)
        if "_engine" not in self.__dict__:
            self._engine = Engine()
        self.state = state.pop("state", self.state)
        super().__setstate__(state)

    def check_group(self, group: Group) -> None:
        """Check the hyper-parameters of one group."""

    def _check_group_number(self, number: int, group: Group) -> None:
        """Check a group, and name it in the error."""
        place = f"({type(self).__name__}, parameter group {number})"
        try:
            self.check_group(group)
        except ValueError as error:
            raise ValueError(f"{error} {place}") from None
        except TypeError as error:
            raise TypeError(f"{error} {place}") from None


def packed(state: State) -> State:
    """Return a parameter's state as checkpoints hold it: with `step` as a 0-d tensor."""
    step = state.get("step")
    if isinstance(step, (int, float)):
        return {**state, "step": torch.tensor(float(step), dtype=scalar_dtype())}
    return state


def load(optimizer: Checkpointed, state_dict: dict[str, Any]) -> None:
    """Load `state_dict` into `optimizer`, running the hooks registered for it."""
    state_dict = state_dict.copy()
    for pre_hook in optimizer._optimizer_load_state_dict_pre_hooks.values():
        result = pre_hook(optimizer, state_dict)
        state_dict = state_dict if result is None else result

    groups = _loaded_groups(optimizer, state_dict["param_groups"])
    saved = state_dict["state"]
    state: defaultdict[Any, State] = defaultdict(dict)
    keys = set()
    for group, saved_group in zip(groups, state_dict["param_groups"], strict=True):
        for key, param in zip(saved_group["params"], group["params"], strict=True):
            keys.add(key)
            if saved.get(key):
                state[param] = _loaded_state(optimizer, group, param, saved[key])
    # State that belongs to no parameter is kept as it is, as torch.optim does.
    state.update({key: deepcopy(value) for key, value in saved.items() if key not in keys})
    optimizer.__setstate__({"state": state, "param_groups": groups})

    for post_hook in optimizer._optimizer_load_state_dict_post_hooks.values():
        post_hook(optimizer)


def _loaded_groups(optimizer: Checkpointed, saved_groups: list[Group]) -> list[Group]:
    groups = optimizer.param_groups
    if len(saved_groups) != len(groups):
        raise ValueError(
            "loaded state dict has a different number of parameter groups: "
            f"{len(saved_groups)}, but the optimizer has {len(groups)}"
        )
    loaded = []
    for index, (group, saved) in enumerate(zip(groups, saved_groups, strict=True)):
        if len(saved["params"]) != len(group["params"]):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                f"optimizer's group: group {index} has {len(saved['params'])} parameters, the "
                f"optimizer's {len(group['params'])}"
            )
        kept = {key: group[key] for key in ("params", *EXECUTION_OPTIONS)}
        merged = {**group, **deepcopy({k: v for k, v in saved.items() if k != "params"}), **kept}
        optimizer._check_group_number(index, merged)
        loaded.append(merged)
    return loaded


def _loaded_state(optimizer: Checkpointed, group: Group, param: Tensor, saved: State) -> State:
    """Return a copy of `saved`, in the types that the state of `param` would start with."""
    state = initial_state(optimizer, group, param)
    missing = state.keys() - saved.keys() - {master.KEY}
    if missing:
        raise ValueError(
            f"the loaded state of a parameter of shape {tuple(param.shape)} has "
            f"{', '.join(map(repr, saved))}, but {type(optimizer).__name__} needs "
            f"{', '.join(map(repr, sorted(missing)))} too: it was saved by another optimizer"
        )
    for key, value in saved.items():
        state[key] = _loaded_value(key, value, state.get(key), param)
    return state


def _loaded_value(key: str, value: Any, initial: Any, param: Tensor) -> Any:
    if not isinstance(value, Tensor):
        return deepcopy(value)
    if isinstance(initial, (bool, int, float)):
        return type(initial)(value.item())
    if not isinstance(initial, Tensor):
        # Made by the rule during a step. A tensor like the parameter goes where the parameter is.
        return value.detach().to(param.device if value.shape == param.shape else None, copy=True)
    if value.shape != initial.shape:
        raise ValueError(
            f"the loaded state {key!r} has shape {tuple(value.shape)}, but this optimizer's is of "
            f"shape {tuple(initial.shape)}, for a parameter of shape {tuple(param.shape)}"
        )
    # Not into `initial` itself, which may be the parameter: some rules keep what they are given.
    return torch.empty_like(initial, requires_grad=False).copy_(value)
