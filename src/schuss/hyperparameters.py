"""Hyper-parameters: the options that every optimizer takes, and classes with checked values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypedDict

from schuss.contract import Group
from schuss.declarations import Constructed, Declared, Hyper, arguments, option
from schuss.domains import FLAG, Domains, or_none

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

    `capturable` keeps the numbers of the state, such as the step count, on the GPU, so that a CUDA
    graph can capture a step and repeat it. Give `lr` as a tensor there to change it between
    repetitions; all other hyper-parameters are those of the captured step. It raises on a CPU, and
    where a rule reads such a number in Python.

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
    capturable: bool = option("keep numbers on the GPU", FLAG, default=False, kw_only=True)


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


def refuse(others: Mapping[str, Any], cls: type[Declared]) -> None:
    """Refuse keyword arguments that a class does not declare.

    Raises:
        TypeError: There are some.
    """
    if others:
        takes = ", ".join(each.name for each in arguments(cls))
        raise TypeError(
            f"{cls.__name__} got an unexpected keyword argument {next(iter(others))!r}; "
            f"it takes {takes}"
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
