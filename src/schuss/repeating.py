"""Which rules are traced once, and repeated with other numbers from then on.

The rules of this library are functions of their arguments: of two steps with the same tensors and
options, only the numbers differ. Another one may read a clock, a file or an attribute, and is
traced in every step, unless its class says `traced_once = True`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

from torch.optim import Optimizer as TorchOptimizer

from schuss.contract import Rule
from schuss.transforms import Transform, WeightDecay

_KNOWN: Final = ("schuss", "torch", "builtins", "typing", "abc")
"""The packages whose classes need not say so."""


class Repeatable(Protocol):
    """The part of an optimizer that its rule consists of, beside the methods of its class."""

    @property
    def weight_decay(self) -> WeightDecay:
        """The decay object."""

    @property
    def transforms(self) -> Sequence[Transform]:
        """The transforms, in their order."""


def pure(optimizer: Repeatable, rule: Rule) -> object:
    """Return what stands for a rule that may be repeated; None if it has to be traced anew.

    Two rules that do different things with the same arguments have values that differ.
    """
    cls: Any = type(optimizer)
    decay, transforms = optimizer.weight_decay, optimizer.transforms
    if not _methods(cls).isdisjoint(vars(optimizer)):  # a method of an instance may be anything
        return None
    for kind in map(type, (optimizer, decay, *transforms)):
        if not is_traced_once(kind):
            return None
    function = getattr(rule, "__func__", rule)
    return function, cls.step_param, cls.update, cls.get_lr, cls.group_for, decay, transforms


@lru_cache(maxsize=1024)
def _methods(cls: Any) -> frozenset[str]:
    """Return the names of the methods that a rule may consist of: all but those of torch."""
    names = {name for base in cls.__mro__ for name, value in vars(base).items() if callable(value)}
    return frozenset(names.difference(dir(TorchOptimizer)))


@lru_cache(maxsize=1024)
def is_traced_once(cls: Any) -> bool:
    """Tell whether the methods of a class, and of those that it inherits from, are functions."""
    return all(
        vars(base).get("traced_once", base.__module__.split(".")[0] in _KNOWN)
        for base in cls.__mro__
    )
