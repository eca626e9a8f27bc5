"""How the checkpoint of an optimizer elsewhere differs from that of the same algorithm here."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from schuss.contract import Group, State


@dataclass(frozen=True)
class Format:
    """The differences. A key that is named nowhere here stays as it is.

    Attributes:
        algorithm: The class here.
        renamed: The names here of hyper-parameters that have another one there, by those. None is
            for what has no counterpart here, and needs none.
        values: Hyper-parameters that the class there has without naming them.
        usual: Options there that are no hyper-parameters here: the value that asks for nothing, and
            what is written here in place of another one.
        state: The names here of values of a state, by those there; None for what is dropped.
        counted: The hyper-parameter there that counts the steps of all parameters of a group; each
            parameter counts its own here.
        shared: Numbers of the group there that are in each state here.
        state_of: Makes what remains to be made of a state, given the group there.
        group_of: Makes what remains to be made of the group, given that there.
        beside: Makes what is kept beside a weight in half precision, given the state here, the
            group there, and the parameter, or None if it is not known.
    """

    algorithm: str
    renamed: Mapping[str, str | None] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    usual: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    state: Mapping[str, str | None] = field(default_factory=dict)
    counted: str = ""
    shared: tuple[str, ...] = ()
    state_of: Callable[[State, Group], State] = lambda state, group: state
    group_of: Callable[[Group], Group] = lambda group: {}
    beside: Callable[[State, Group, Tensor | None], State] = lambda state, group, param: state

    def group(self, name: str, number: int, theirs: Group) -> Group:
        """Return the hyper-parameters of a group; warn of options that have to be given otherwise.

        Args:
            name: The name of the format.
            number: The number of the group.
            theirs: The group as it was saved.
        """
        for key, (usual, here) in self.usual.items():
            if key in theirs and theirs[key] != usual:
                warnings.warn(
                    f"parameter group {number} of {name} was saved with {key}={theirs[key]!r}, "
                    f"which is no hyper-parameter of {self.algorithm}; {here}",
                    stacklevel=3,  # the caller of migrated
                )
        left_out = {*self.usual, *self.shared, self.counted}
        kept = {k: v for k, v in _renamed(theirs, self.renamed).items() if k not in left_out}
        return {**kept, **self.values, **self.group_of(theirs)}

    def state_for(self, theirs: State, group: Group, param: Tensor | None) -> State:
        """Return the state of a parameter, given that there, the group there, and the parameter."""
        made = _renamed(theirs, self.state)
        if self.counted:
            made["step"] = group[self.counted]
        made.update({key: group[key] for key in self.shared})
        return self.beside(self.state_of(made, group), group, param)


def _renamed(values: Mapping[str, Any], names: Mapping[str, str | None]) -> dict[str, Any]:
    pairs = ((names.get(key, key), value) for key, value in values.items())
    return {key: value for key, value in pairs if key is not None}
