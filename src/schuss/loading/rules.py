"""The rule that a checkpoint was saved by, which its groups name.

Many optimizers keep the same keys in their state and mean different things by them: `exp_avg` is a
mean of gradients in `Adam`, and one of updates in `LaProp`. So every saved group has the name of a
rule under one more key, which `torch.optim` carries along without looking at it. A checkpoint
without this key, of torch or of an earlier version, is told by its other keys only.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from torch.optim import Optimizer as TorchOptimizer

RULE: Final = "schuss_rule"
"""The key of a saved group under which the name of its rule stands."""

_NO_PART: Final = frozenset(
    {
        *dir(TorchOptimizer),
        *("check_group", "check_parameters", "read_group", "group_values", "decay_object"),
        *("load_by_name", "eval", "train", "evaluating", "explain", "traced_once"),
        *("master", "float32_state_dict", "load_float32_state_dict"),
    }
)
"""Methods that are no part of a rule: a subclass may have its own, and means the same by state."""


def rule_of(optimizer: object) -> str:
    """Return the name of the class that the rule of an optimizer, or of its class, is from.

    A subclass has the rule of its base unless it overrides a method of the rule. So `AdamW`, which
    only declares another decay, has the rule of `Adam`, and either loads what the other has saved.
    """
    cls: Any = optimizer if isinstance(optimizer, type) else type(optimizer)
    return _named(cls)


@lru_cache(maxsize=1024)
def _named(cls: type) -> str:
    bases = cls.__mro__
    for number, base in enumerate(bases):
        methods = {name for name, value in vars(base).items() if inspect.isfunction(value)}
        if any(hasattr(other, m) for m in methods - _NO_PART for other in bases[number + 1 :]):
            return base.__name__
    return cls.__name__


def check_rule(where: str, algorithm: Any, saved: Mapping[str, Any], way_out: str = "") -> None:
    """Check that a saved group is of the rule by which it is going to be stepped.

    Args:
        where: A description of the group or of a parameter in it.
        algorithm: The optimizer that is going to step it.
        saved: The group of the checkpoint.
        way_out: A way to load the others, for messages.

    Raises:
        ValueError: It names another rule.
    """
    theirs, ours = saved.get(RULE), rule_of(algorithm)
    if theirs is None or theirs == ours:
        return
    name = type(algorithm).__name__
    told = name if name == ours else f"{name}, with the rule of {ours},"
    raise ValueError(
        f"{where} was saved by another optimizer: its state is of the rule of {theirs}, and {told} "
        f"would take it for something else; load it into {theirs}, {way_out}or, to go on from it "
        f"all the same, delete {RULE!r} from the groups of the checkpoint"
    )
