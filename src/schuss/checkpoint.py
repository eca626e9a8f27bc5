"""Checkpoints: what `state_dict` returns, and what loading makes of it.

They are exchangeable with those of `torch.optim`. Three things differ from torch's own loading.
Values take the type and the precision of what the optimizer would itself have put there
(`torch.optim` casts them to the parameter's, and float32 moments of bfloat16 parameters are gone).
They are copied, so that two optimizers never share a tensor. And nothing is changed until all of it
has been checked and made.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from schuss import loading
from schuss.contract import Group, Measure, Rule, State
from schuss.groupchecks import Checking, GroupChecks, Grouped
from schuss.loading import RULE
from schuss.modes import outside_of_modes
from schuss.storage.codecs.saved import all_taken_apart
from schuss.storage.numbers import as_number, as_tensor

_Checkpoint = TypeVar("_Checkpoint")

TRAINED = "trained_param"
"""The key of the trained weights in a checkpoint that is taken while evaluating."""


class Loading(Checking, Protocol):
    """The part of an optimizer that the checkpoint of one group is made to fit."""

    def whole_rule(self) -> Rule:
        """Return the rule that a step calls for each parameter, transforms included."""

    def measurements(self) -> list[Measure]:
        """Return the measurements that a step makes of all parameters before the rule."""

    def read_group(self, saved: Group) -> Group:
        """Return a group of a checkpoint as the optimizer takes it."""


class Saved(Protocol):
    """The part of an optimizer that a checkpoint is made of."""

    param_groups: list[Group]

    def algorithm_of(self, group: Group) -> Any:
        """Return the optimizer whose rule and hyper-parameters a group has."""


class Loadable(Grouped, Protocol):
    """The part of an optimizer that a checkpoint is made to fit."""

    def algorithm_of(self, group: Group) -> Loading:
        """Return the optimizer whose rule and hyper-parameters a group has."""


class Loaded(NamedTuple):
    """The new values of an optimizer, made of a checkpoint and not yet in place.

    Attributes:
        groups: The groups.
        state: The states.
        trained: The new values of parameters.
        recoded: Tensors of the state that are kept in fewer bytes, and were saved otherwise.
    """

    groups: list[Group]
    state: defaultdict[Any, State]
    trained: dict[Tensor, Tensor]
    recoded: Sequence[loading.Recoded] = ()

    def put_into(self, optimizer: torch.optim.Optimizer) -> None:
        """Replace groups and state by these; an error leaves the optimizer as it was."""
        state, groups = optimizer.state, optimizer.param_groups
        try:
            optimizer.__setstate__({"state": self.state, "param_groups": self.groups})
        except BaseException:  # of a subclass
            optimizer.state, optimizer.param_groups = state, groups
            raise
        with torch.no_grad():
            for param, trained in self.trained.items():
                param.copy_(trained)


@outside_of_modes
def saved(
    optimizer: Saved, states: Mapping[Any, Any], trained: Mapping[Tensor, Tensor]
) -> dict[str, Any]:
    """Return a checkpoint, which holds parameters by number and `step` as a 0-d tensor.

    Args:
        optimizer: The optimizer, for its groups and their rules.
        states: The state of every parameter, and what else is kept beside it.
        trained: The trained weights of parameters that hold others.
    """
    groups = optimizer.param_groups
    numbers: dict[Tensor, int] = {}
    for group in groups:
        for param in group["params"]:
            numbers.setdefault(param, len(numbers))
    state: dict[Any, Any] = {}
    for key, value in states.items():
        if not isinstance(key, Tensor):
            state[key] = value
        elif key in numbers:  # and not of a group that was taken away
            state[numbers[key]] = _packed(value, trained.get(key))
    packed = []
    for group in groups:
        rule = loading.rule_of(optimizer.algorithm_of(group))
        packed.append({**group, "params": [numbers[p] for p in group["params"]], RULE: rule})
    return {"state": state, "param_groups": packed}


def _packed(state: State, trained: Tensor | None) -> State:
    """Return a state with a 0-d tensor for `step`, and with trained weights if there are any."""
    packed = all_taken_apart(state)
    step = as_number(state.get("step"))
    if step is not None:
        packed["step"] = as_tensor(step)
    if trained is not None:
        packed[TRAINED] = trained
    return packed


@outside_of_modes
@torch.no_grad()
def loaded(
    optimizer: Loadable,
    checks: GroupChecks,
    state_dict: Any,
    keep: Sequence[str] = (),
    names: Mapping[Tensor, str] = MappingProxyType({}),
) -> Loaded:
    """Check a checkpoint and make all that becomes of it; change nothing.

    Args:
        optimizer: The optimizer.
        checks: The checks of its groups.
        state_dict: The checkpoint, with the parameters in the order of the optimizer.
        keep: Hyper-parameters that stay as they are.
        names: The names of parameters for messages, where they are not in the groups.

    Raises:
        ValueError: It is of other parameters, of another optimizer, has a value outside of its
            domain or of another shape or kind, or no step can be taken from its state.
        TypeError: It is no checkpoint.
    """
    checkpoint = loading.read(state_dict)
    loading.check_sizes(checkpoint.groups, optimizer.param_groups)
    _warn_of_moved([] if names else checkpoint.groups, optimizer.param_groups)
    groups, states_of = _groups(optimizer, checks, checkpoint.groups, keep)
    made = Loaded(groups, defaultdict(dict), {})
    others = dict(checkpoint.state)  # in the end that of no parameter, kept as by torch.optim
    both = zip(checks.for_rules(optimizer, groups), checkpoint.groups, strict=True)
    for number, (group, saved_group) in enumerate(both):
        states = states_of[id(optimizer.algorithm_of(group))]
        pairs = zip(group["params"], saved_group["params"], strict=True)
        for position, (param, key) in enumerate(pairs):
            where = loading.described(number, group, position, names)
            found = loading.of_parameter(where, param.shape, others.pop(key, {}))
            if TRAINED in found:
                made.trained[param] = states.fitted(where, TRAINED, found.pop(TRAINED), param)
            if found:
                made.state[param] = states.loaded(where, group, param, found)
    made.state.update(deepcopy(others))
    return made._replace(recoded=[each for s in states_of.values() for each in s.recoded])


def _warn_of_moved(saved: Sequence[Group], own: Sequence[Group]) -> None:
    """Warn of parameters that are at another place in the groups of a checkpoint."""
    moved = loading.names_moved(saved, own)
    if moved:
        warnings.warn(
            f"the checkpoint has the parameter {moved[0]!r} at another place than the optimizer, "
            "and load_state_dict goes by places, as in torch; load_by_name goes by names",
            stacklevel=5,  # the caller of load_state_dict
        )


def _groups(
    optimizer: Loadable, checks: GroupChecks, saved_groups: Sequence[Group], keep: Sequence[str]
) -> tuple[list[Group], dict[int, loading.States]]:
    """Return the groups with the hyper-parameters of saved ones, checked; and what makes states.

    The latter is by the identity of the algorithm whose states they are. The hyper-parameters of
    `keep` stay as they are.
    """
    own = optimizer.param_groups
    left = loading.kept(keep, own)
    groups = list(own)
    algorithms = {id(found): found for found in map(optimizer.algorithm_of, own)}
    states = {}
    for key, algorithm in algorithms.items():
        numbers = [n for n, group in enumerate(own) if optimizer.algorithm_of(group) is algorithm]
        name = type(algorithm).__name__
        for number in numbers:
            where = f"the loaded parameter group {number}"
            loading.check_rule(where, algorithm, saved_groups[number])
        foreign = loading.foreign(name, *([g[n] for n in numbers] for g in (own, saved_groups)))
        rule, measures = algorithm.whole_rule(), algorithm.measurements()
        states[key] = loading.States(name, optimizer, rule, measures, foreign)
        for number in numbers:
            taken = _taken(algorithm, number, saved_groups[number], left)
            groups[number] = loading.merged(own[number], taken, left)
            try:
                checks.check(optimizer, number, groups[number])
            except ValueError:
                raise
            except Exception as error:  # of a check that did not expect such a type
                raise ValueError(
                    f"the loaded parameter group {number} does not fit {name}: {error}; was it "
                    "saved by another optimizer?"
                ) from error
    return groups, states


def _taken(algorithm: Loading, number: int, saved: Group, left: frozenset[str]) -> Group:
    """Return a saved group as its optimizer takes it, without keys that stay as they are."""
    try:
        return algorithm.read_group({k: v for k, v in saved.items() if k not in left})
    except ValueError as error:
        raise ValueError(f"{error} (the loaded parameter group {number})") from None


def hooked(hooks: Mapping[int, Any], optimizer: object, checkpoint: _Checkpoint) -> _Checkpoint:
    """Return what hooks of torch make of a checkpoint, each of which may return another one."""
    for hook in hooks.values():
        result = hook(optimizer, checkpoint)
        checkpoint = checkpoint if result is None else result
    return checkpoint
