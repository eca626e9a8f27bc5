"""Checkpoints: `state_dict` and `load_state_dict`, exchangeable with `torch.optim`.

Three things differ from torch's own loading. Values take the type and the precision of what the
optimizer would itself have put there (`torch.optim` casts them to the parameter's, and float32
moments of bfloat16 parameters are gone). They are copied, so that two optimizers never share a
tensor. And nothing is changed until all of it has been checked and made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor

from schuss import loading
from schuss.contract import Group, Measure, Rule, State
from schuss.engines import CompiledSteps, Engine
from schuss.hyperparameters import CheckedGroups
from schuss.storage.numbers import as_number, as_tensor

TRAINED = "trained_param"
"""The key of the trained weights in a checkpoint that is taken while evaluating."""


class Checkpointed(CompiledSteps, CheckedGroups, torch.optim.Optimizer):
    """The part of an optimizer that is saved and loaded, pickled and copied."""

    _trained: dict[Tensor, Tensor]
    """The trained weights, while evaluating, of the parameters that hold other weights then."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the groups, in the form of `torch.optim`: `step` is a 0-d tensor."""
        for pre_hook in self._optimizer_state_dict_pre_hooks.values():
            pre_hook(self)
        self._end_compiled()
        numbers: dict[Tensor, int] = {}
        for group in self.param_groups:
            for param in group["params"]:
                numbers.setdefault(param, len(numbers))
        groups = [{**g, "params": [numbers[p] for p in g["params"]]} for g in self.param_groups]
        state: dict[Any, Any] = {}
        kept: Mapping[Any, Any] = self.state
        for key, value in kept.items():
            if not isinstance(key, Tensor):
                state[key] = value
            elif key in numbers:  # and not of a group that was taken away
                state[numbers[key]] = self._packed(key, value)
        saved: dict[str, Any] = {"state": state, "param_groups": groups}
        for post_hook in self._optimizer_state_dict_post_hooks.values():
            result = post_hook(self, saved)
            saved = saved if result is None else result
        return saved

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore state and hyper-parameters from a `state_dict`, ours or one of `torch.optim`.

        Tensors are copied, to the precision in which this optimizer keeps them. How a step is run
        (`foreach`, `fused`, `capturable`, `differentiable`) stays as it was constructed. If it was
        taken while evaluating, the parameters become what was trained.

        Args:
            state_dict: The dictionary that `state_dict` returned.

        Raises:
            ValueError: It is of other parameters, of another optimizer, has a value outside of its
                domain or of another shape or kind, or no step can be taken from its state. Nothing
                has been changed then.
            TypeError: It is no `state_dict`. Nothing has been changed then.
        """
        loaded: Any = copy(state_dict)
        for pre_hook in self._optimizer_load_state_dict_pre_hooks.values():
            result = pre_hook(self, loaded)
            loaded = loaded if result is None else result
        self._swap_in_checkpoint(self._made_of(loaded))
        for post_hook in self._optimizer_load_state_dict_post_hooks.values():
            post_hook(self)

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

    def _read_group(self, saved: Group) -> Group:
        """Return a group of a checkpoint as this optimizer takes it; override it if it differs."""
        return saved

    def _rule(self) -> Rule:
        """Return the rule that a step calls for each parameter, transforms included."""
        raise NotImplementedError

    def _measures(self) -> list[Measure]:
        """Return the measurements that a step makes of all parameters before the rule."""
        raise NotImplementedError

    def _packed(self, param: Tensor, state: State) -> State:
        """Return a state with a 0-d tensor for `step`, and with trained weights if evaluating."""
        packed = dict(state)
        step = as_number(state.get("step"))
        if step is not None:
            packed["step"] = as_tensor(step)
        if param in self._trained:
            packed[TRAINED] = self._trained[param]
        return packed

    @torch.no_grad()
    def _made_of(self, state_dict: Any) -> _Made:
        """Check a checkpoint and make all that becomes of it; change nothing."""
        checkpoint = loading.read(state_dict, self.param_groups)
        name = type(self).__name__
        foreign = loading.foreign(name, self.param_groups, checkpoint.groups)
        groups = self._loaded_groups(checkpoint.groups)
        states = loading.States(self, self._rule(), self._measures(), foreign)
        made = _Made(groups, defaultdict(dict), {})
        # State that belongs to no parameter is kept as it is, as torch.optim does.
        others = dict(checkpoint.state)
        pairs = zip(self._for_rules(groups), checkpoint.groups, strict=True)
        for number, (group, saved_group) in enumerate(pairs):
            for position, param in enumerate(group["params"]):
                where = loading.described(number, group, position)
                saved = loading.of_parameter(where, others.pop(saved_group["params"][position], {}))
                if TRAINED in saved:
                    made.trained[param] = states.fitted(where, TRAINED, saved.pop(TRAINED), param)
                if saved:
                    made.state[param] = states.loaded(where, group, param, saved)
        made.state.update(deepcopy(others))
        return made

    def _loaded_groups(self, saved_groups: Sequence[Group]) -> list[Group]:
        """Return the groups with the hyper-parameters of saved ones, checked."""
        groups = []
        for number, saved in enumerate(saved_groups):
            group = loading.merged(self.param_groups[number], self._read_group(saved))
            try:
                self._check_group_number(number, group)
            except ValueError:
                raise
            except Exception as error:  # of a check that did not expect such a type
                raise ValueError(
                    f"the loaded parameter group {number} does not fit {type(self).__name__}: "
                    f"{error}; was it saved by another optimizer?"
                ) from error
            groups.append(group)
        return groups

    def _swap_in_checkpoint(self, made: _Made) -> None:
        """Replace groups and state by those of a checkpoint; an error leaves them as they were."""
        state, groups = self.state, self.param_groups
        try:
            self.__setstate__({"state": made.state, "param_groups": made.groups})
        except BaseException:  # of a subclass
            self.state, self.param_groups = state, groups
            raise
        with torch.no_grad():
            for param, trained in made.trained.items():
                param.copy_(trained)


class _Made(NamedTuple):
    """The new values of an optimizer, made of a checkpoint and not yet in place.

    Attributes:
        groups: The groups.
        state: The states.
        trained: The new values of parameters.
    """

    groups: list[Group]
    state: defaultdict[Any, State]
    trained: dict[Tensor, Tensor]
