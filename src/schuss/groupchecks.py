"""Checks of parameter groups, before a step is taken with what they hold.

Every group is checked at construction, in `add_param_group`, when a checkpoint is loaded, and in
the step after it was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from operator import is_
from typing import Any, Final, Protocol

from schuss.contract import COUNTS, Group, Stateful
from schuss.domains import Domains
from schuss.hyperparameters import OPTION_DEFAULTS
from schuss.parametergroups import check_params
from schuss.storage.master import check_rounded
from schuss.storagechecks import Ruled, check_stored_keys
from schuss.transforms import Transform, WeightDecay


class Checking(Ruled, Protocol):
    """The part of an optimizer that one group is checked by.

    Attributes:
        defaults: The hyper-parameters that a group has, and what they are if nobody gives them.
        group_domains: The domains of all hyper-parameters: of the algorithm, decay and transforms.
    """

    defaults: dict[str, Any]
    group_domains: Domains

    @property
    def weight_decay(self) -> WeightDecay:
        """The decay object."""

    @property
    def transforms(self) -> Sequence[Transform]:
        """The transforms, in their order."""

    def check_group(self, group: Group) -> None:
        """Check the hyper-parameters of one group."""

    def check_parameters(self, group: Group) -> None:
        """Check that the algorithm takes the parameters of one group."""


class Grouped(Stateful, Protocol):
    """The part of an optimizer that its groups are checked by."""

    param_groups: list[Group]

    def algorithm_of(self, group: Group) -> Checking:
        """Return the optimizer whose rule and hyper-parameters a group has."""


class GroupChecks:
    """Checks the groups of one optimizer, and knows which of their values have been checked."""

    def __init__(self) -> None:
        # The keys and the values of each group, and the lists of all with the parameters in them,
        # when they were last checked.
        self._seen: list[tuple[list[object], list[object]]] | None = None
        self._params: list[object] = [None]
        self._has_other_numbers = False

    def check(self, optimizer: Grouped, number: int, group: Group) -> None:
        """Check a group that is, or will be, the one with this number, which errors then name.

        Raises:
            ValueError: A hyper-parameter is missing, or lies outside of its domain.
            TypeError: One is of the wrong type.
        """
        algorithm = optimizer.algorithm_of(group)
        with _named(algorithm, number):
            _check_keys(group, algorithm.defaults)
            algorithm.check_group(group)
        if algorithm.group_domains.plain(group):
            self._has_other_numbers = True

    def check_changed(self, optimizer: Grouped) -> None:
        """Check all groups, if one holds other objects than when it was last checked.

        Groups are known by what they hold, not by where they stand. Writes into a tensor
        are not noticed, because to look at its value would be to wait for the device. Dynamo is not
        to trace it.

        Raises:
            ValueError: `check` or `check_listed` refuses a group.
            TypeError: `check` or `check_listed` refuses a group.
        """
        groups = optimizer.param_groups
        if self._holds_the_same(groups):
            return
        scheduled = self._other_numbers(optimizer)
        if scheduled is None:
            self._check_all(optimizer)
        else:
            for number, keys in scheduled:
                _check_numbers(optimizer.algorithm_of(groups[number]), number, groups[number], keys)
        self._seen = [(list(group), list(group.values())) for group in groups]

    def _check_all(self, optimizer: Grouped) -> None:
        """Check all groups and their parameters."""
        groups = optimizer.param_groups
        self.check_listed(optimizer)
        for number, group in enumerate(groups):
            for key in OPTION_DEFAULTS.keys() - group.keys():
                defaults = optimizer.algorithm_of(group).defaults
                group[key] = defaults.get(key, OPTION_DEFAULTS[key])
            self.check(optimizer, number, group)
            self._check_parameters(optimizer, number, group)

    def _holds_the_same(self, groups: Sequence[Group]) -> bool:
        """Tell whether groups hold the objects that they held when they were last checked."""
        seen = self._seen
        try:
            if seen is None or len(seen) != len(groups):
                return False
            for group, (keys, values) in zip(groups, seen, strict=True):
                if list(group) != keys or not all(map(is_, group.values(), values)):
                    return False
        except (AttributeError, TypeError):  # some group is none
            return False
        return True

    def _other_numbers(self, optimizer: Grouped) -> list[tuple[int, list[object]]] | None:
        """Return the groups and the keys whose numbers have changed; None if more has changed.

        A schedule does so before every step. Whether an algorithm takes a parameter cannot depend
        on such a number, and to ask that anew of each of thousands takes longer than the step.
        """
        found = []
        groups, seen = optimizer.param_groups, self._seen or []
        if len(groups) != len(seen):
            return None
        for number, (group, (keys, values)) in enumerate(zip(groups, seen, strict=True)):
            if not hasattr(group, "values") or list(group) != keys:
                return None
            pairs = zip(keys, group.values(), values, strict=True)
            changed = [(key, new, old) for key, new, old in pairs if new is not old]
            known = optimizer.algorithm_of(group).group_domains if changed else {}
            if not all(_may_vary(key, new, old, known) for key, new, old in changed):
                return None
            if changed:
                found.append((number, [key for key, _, _ in changed]))
        return found

    def check_listed(self, optimizer: Grouped) -> None:
        """Check the parameters that groups list, if they are not those that they listed before.

        The engine asks for it when it plans a step anew. A step that goes on with parameters as
        they were bound has compared each with the list already.

        Raises:
            TypeError: A group is no dictionary, or its parameters are not tensors in a list.
            ValueError: A parameter is listed twice, or the algorithm does not take it.
        """
        groups = optimizer.param_groups
        try:
            same = all(map(is_, _params_of(groups), self._params))
        except (AttributeError, KeyError, TypeError):
            same = False
        if not same:
            check_params(groups)
            for number, group in enumerate(groups):
                self._check_parameters(optimizer, number, group)
            self._params = list(_params_of(groups))

    def _check_parameters(self, optimizer: Grouped, number: int, group: Group) -> None:
        """Check that the algorithm takes the parameters of a group, which rules may read."""
        algorithm = optimizer.algorithm_of(group)
        with _named(algorithm, number):
            check_rounded(group)
            algorithm.check_parameters({**algorithm.defaults, **group})
            check_stored_keys(optimizer, algorithm, group)

    def for_rules(self, optimizer: Grouped, groups: Sequence[Group]) -> Sequence[Group]:
        """Return groups as rules see them: with Python's numbers and tensors of no dimensions."""
        if not self._has_other_numbers:
            return groups
        return [
            {**group, **optimizer.algorithm_of(group).group_domains.plain(group)}
            for group in groups
        ]


@contextmanager
def _named(optimizer: object, number: int) -> Iterator[None]:
    """Let errors in the block name an optimizer and a group."""
    place = f"({type(optimizer).__name__}, parameter group {number})"
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error} {place}") from None
    except TypeError as error:
        raise TypeError(f"{error} {place}") from None


def _check_keys(group: Group, defaults: Mapping[str, Any]) -> None:
    if "lr" not in group or not defaults.keys() <= group.keys():
        missing = [key for key in dict.fromkeys(("lr", *defaults)) if key not in group]
        raise ValueError(
            f"the group has no {', '.join(map(repr, missing))}; add it with add_param_group, "
            "which takes what is missing from the defaults"
        )


def _check_numbers(algorithm: Checking, number: int, group: Group, keys: list[object]) -> None:
    """Check a group in which nothing has changed but some numbers."""
    if keys == ["lr"] and _leaves_lr_alone(algorithm):
        try:
            algorithm.group_domains["lr"].check("lr", group["lr"])
        except (TypeError, ValueError):  # to be raised below, with the number of the group
            pass
        else:
            return
    with _named(algorithm, number):
        algorithm.check_group(group)


def _leaves_lr_alone(algorithm: Checking) -> bool:
    """Tell whether nobody's check of a group compares `lr` with others; none of ours does."""
    if not _is_ours(type(algorithm).check_group):
        return False
    parts = (algorithm.weight_decay, *algorithm.transforms)
    return all(_is_ours(type(each).check_group) for each in parts)


@cache
def _is_ours(check: Callable[..., None]) -> bool:
    return check.__module__.split(".")[0] == __name__.split(".")[0]


def _may_vary(key: object, new: object, old: object, known: Mapping[Any, object]) -> bool:
    """Tell whether a value is another number of the same type, and fits any parameter.

    These are the floats, such as a learning rate, also in a tuple, such as the decay rates; and the
    whole numbers that steps count, or that somebody else has put there.
    """
    if type(new) is not type(old):
        return False
    if isinstance(new, tuple) and isinstance(old, tuple):
        floats = all(isinstance(each, float) for each in new)
        return floats and [*map(type, new)] == [*map(type, old)]
    if isinstance(new, int):
        return key in COUNTS or not (key in known or key in OPTION_DEFAULTS)
    return isinstance(new, float)


_END: Final = (object(),)
"""The end of a sequence, which keeps one sequence from being the beginning of another."""


def _params_of(groups: Sequence[Group]) -> Iterator[object]:
    """Yield the list of parameters of each group, then all parameters, and an end."""
    lists = [group["params"] for group in groups]
    return chain(lists, chain.from_iterable(lists), _END)
