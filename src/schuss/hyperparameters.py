"""Hyper-parameters: the options that every optimizer takes, and when values are checked.

Every group is checked at construction, in `add_param_group`, when a checkpoint is loaded, and in
the step after it was changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import is_
from typing import TYPE_CHECKING, Any, Final, TypedDict

import torch

from schuss.contract import Group
from schuss.declarations import Constructed, Declared, Hyper, option
from schuss.domains import FLAG, Domains, or_none
from schuss.parametergroups import check_params

if TYPE_CHECKING:
    from schuss.transforms import Transform


class Options(TypedDict, total=False):
    """Keyword options that every optimizer takes, for all groups or (as a key of a group) for one.

    `maximize` climbs instead of descending.

    `master_weights` keeps a float32 copy of each float16 or bfloat16 parameter, which receives the
    updates, and the state in float32: 12 bytes a parameter more than the parameter itself for Adam.

    `differentiable` lets autograd go through the step; the parameters must then be non-leaf
    tensors.

    `fused=True` compiles the rule into one kernel for all parameters, `foreach=True` plays it with
    torch's operations on lists of tensors; both raise where that cannot be done. With neither, the
    fastest engine that is right is taken. False for one of them, and nothing for the other, calls
    the rule for each parameter in turn.

    `capturable` is torch's; this version refuses True.

    `transforms` change the gradient, the update and the parameter around the rule; see
    `schuss.Transform`. They are of all groups, which may differ in the hyper-parameters of each.
    """

    maximize: bool
    master_weights: bool
    differentiable: bool
    foreach: bool | None
    fused: bool | None
    capturable: bool
    transforms: Sequence[Transform]


class CommonOptions(Declared, Constructed):
    """The options of `Options` except transforms, declared once for all optimizers."""

    maximize: bool = option("climb", FLAG, default=False, kw_only=True)
    master_weights: bool = option("keep float32 copies", FLAG, default=False, kw_only=True)
    differentiable: bool = option("let autograd through", FLAG, default=False, kw_only=True)
    foreach: bool | None = option("lists of tensors", or_none(FLAG), default=None, kw_only=True)
    fused: bool | None = option("one kernel", or_none(FLAG), default=None, kw_only=True)
    capturable: bool = option("refused", FLAG, default=False, kw_only=True)


OPTION_DEFAULTS: Final[Mapping[str, Any]] = {k: h.default for k, h in CommonOptions.hypers.items()}

EXECUTION_OPTIONS: Final = ("differentiable", "foreach", "fused", "capturable")
"""Options that say how a step is run, not what it computes. A checkpoint does not restore them."""


def check_options(name: str, options: Mapping[str, object]) -> None:
    """Refuse a keyword argument that the optimizer called `name` does not have."""
    for key in options:
        if key not in OPTION_DEFAULTS:
            raise TypeError(
                f"{name} got an unexpected keyword argument {key!r}; beside its own, every "
                f"optimizer takes {', '.join(OPTION_DEFAULTS)} and transforms"
            )


class Checked(Declared):
    """A class with hyper-parameters, each of which has a domain.

    A subclass declares its hyper-parameters, or names the domains of those that have none yet in
    `domains`, and has those of its bases too. It extends `check_group` with what must hold between
    several of them.
    """

    domains: Domains = Domains()
    """The domains of the hyper-parameters, by name."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Add the domains of the bases to those of the class."""
        super().__init_subclass__(**kwargs)
        found = Domains()
        for base in reversed(cls.__mro__):
            declared = [each for each in vars(base).values() if isinstance(each, Hyper)]
            found.update({each.name: each.domain for each in declared if each.domain})
            found.update(vars(base).get("domains", {}))
        cls.domains = found

    def check_group(self, group: Group) -> None:
        """Check the hyper-parameters of one group; extend it with what must hold between them.

        Raises:
            ValueError: One lies outside of its domain.
            TypeError: One is of the wrong type.
        """
        self.domains.check(group)


class CheckedGroups(Checked):
    """The part of an optimizer that checks groups, when they are added, loaded or changed."""

    param_groups: list[Group]
    defaults: dict[str, Any]
    _seen_values: list[object]
    """The keys and the values of all groups when they were last checked."""
    _seen_lists: list[object]
    """The lists of parameters of all groups when they were last checked."""
    _seen_params: list[object]
    """These lists and the parameters in them when they were last checked."""
    _all_domains: Domains
    """The domains of the decay and of the transforms too."""
    _odd: bool
    """Whether some value is not what rules compute with."""

    def _check_group_number(self, number: int, group: Group) -> None:
        """Check a group, and name it in the error."""
        place = f"({type(self).__name__}, parameter group {number})"
        try:
            self._check_keys(group)
            self.check_group(group)
        except ValueError as error:
            raise ValueError(f"{error} {place}") from None
        except TypeError as error:
            raise TypeError(f"{error} {place}") from None
        self._odd = self._odd or bool(self._all_domains.plain(group))

    def _check_keys(self, group: Group) -> None:
        if "lr" not in group or not self.defaults.keys() <= group.keys():
            missing = [key for key in ("lr", *self.defaults) if key not in group]
            raise ValueError(
                f"the group has no {', '.join(map(repr, missing))}; add it with add_param_group, "
                "which takes what is missing from the defaults"
            )

    def _check_changed(self) -> None:
        """Check all groups, if one holds other objects than when it was last checked.

        Groups are known by what they hold, not by where they stand. Writes into a tensor
        are not noticed, because to look at its value would be to wait for the device.
        """
        if torch.compiler.is_compiling():
            return
        groups = self.param_groups
        try:
            same = all(map(is_, _lists_of(groups), self._seen_lists))
        except (AttributeError, KeyError, TypeError):  # some group is none
            same = False
        if not same:
            self.check_listed()
            self._seen_lists = list(_lists_of(groups))
        if not all(map(is_, _values_of(groups), self._seen_values)):
            for number, group in enumerate(groups):
                for key in OPTION_DEFAULTS.keys() - group.keys():
                    group[key] = self.defaults.get(key, OPTION_DEFAULTS[key])
                self._check_group_number(number, group)
            self._seen_values = list(_values_of(groups))

    def check_listed(self) -> None:
        """Check what the lists of parameters hold, if that is not what it was.

        The engine calls it when it plans a step anew. A step that goes on with parameters as they
        were bound has compared each with the list already.

        Raises:
            TypeError: A group is no dictionary, or its parameters are not tensors in a list.
            ValueError: A parameter is listed twice.
        """
        groups = self.param_groups
        try:
            same = all(map(is_, _params_of(groups), self._seen_params))
        except (AttributeError, KeyError, TypeError):
            same = False
        if not same:
            check_params(groups)
            self._seen_params = list(_params_of(groups))

    def _for_rules(self, groups: Sequence[Group]) -> Sequence[Group]:
        """Return groups as rules see them: with Python's numbers and tensors of no dimensions."""
        if not self._odd:
            return groups
        return [{**group, **self._all_domains.plain(group)} for group in groups]


_END: Final = (object(),)
"""The end of a sequence, which keeps one sequence from being the beginning of another."""


def _lists_of(groups: Sequence[Group]) -> Iterator[object]:
    """Yield the list of parameters of each group, and an end."""
    return chain([group["params"] for group in groups], _END)


def _params_of(groups: Sequence[Group]) -> Iterator[object]:
    """Yield the list of parameters of each group, then all parameters, and an end."""
    lists = [group["params"] for group in groups]
    return chain(lists, chain.from_iterable(lists), _END)


def _values_of(groups: Sequence[Group]) -> Iterator[object]:
    """Yield the keys of all groups, then their values, and an end."""
    values = [group.values() for group in groups]
    return chain(chain.from_iterable(groups), chain.from_iterable(values), _END)
