"""Checks of parameter groups, before a step is taken with what they hold.

Every group is checked at construction, in `add_param_group`, when a checkpoint is loaded, and in
the step after it was changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from operator import is_
from typing import Any, Final, Protocol

import torch

from schuss.contract import Group, Stateful
from schuss.domains import Domains
from schuss.hyperparameters import OPTION_DEFAULTS
from schuss.parametergroups import check_params
from schuss.storage.master import check_rounded
from schuss.storagechecks import Ruled, check_stored_keys


class Checking(Ruled, Protocol):
    """The part of an optimizer that one group is checked by.

    Attributes:
        defaults: The hyper-parameters that a group has, and what they are if nobody gives them.
        group_domains: The domains of all hyper-parameters: of the algorithm, decay and transforms.
    """

    defaults: dict[str, Any]
    group_domains: Domains

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
        are not noticed, because to look at its value would be to wait for the device.

        Raises:
            ValueError: `check` or `check_listed` refuses a group.
            TypeError: `check` or `check_listed` refuses a group.
        """
        if torch.compiler.is_compiling():
            return
        groups = optimizer.param_groups
        if self._holds_the_same(groups):
            return
        self.check_listed(optimizer)
        for number, group in enumerate(groups):
            for key in OPTION_DEFAULTS.keys() - group.keys():
                defaults = optimizer.algorithm_of(group).defaults
                group[key] = defaults.get(key, OPTION_DEFAULTS[key])
            self.check(optimizer, number, group)
            self._check_parameters(optimizer, number, group)
        self._seen = [(list(group), list(group.values())) for group in groups]

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


_END: Final = (object(),)
"""The end of a sequence, which keeps one sequence from being the beginning of another."""


def _params_of(groups: Sequence[Group]) -> Iterator[object]:
    """Yield the list of parameters of each group, then all parameters, and an end."""
    lists = [group["params"] for group in groups]
    return chain(lists, chain.from_iterable(lists), _END)
