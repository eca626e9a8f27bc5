"""The part of an optimizer that a step consists of, and what is made of it for all parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from schuss.contract import Group, Measure, Pass, Rule, State
from schuss.engines import Traced
from schuss.groupchecks import Checking, Grouped
from schuss.repeating import Repeatable, pure
from schuss.transforms.chain import Chain
from schuss.transforms.measured import HELD_ONLY


class Ruling(Checking, Repeatable, Protocol):
    """The part of an optimizer that a step of one group consists of."""

    def whole_rule(self) -> Rule:
        """Return the rule that a step calls for each parameter, transforms included."""


class Stepped(Traced, Grouped, Protocol):
    """The part of an optimizer that a step consists of."""

    def algorithm_of(self, group: Group) -> Ruling:
        """Return the optimizer whose rule and hyper-parameters a group has."""

    def passes(self) -> list[Pass]:
        """Return the measurements that a step makes of all parameters before the rule."""

    def summed(self, groups: Sequence[Group]) -> None:
        """Change hyper-parameters by the sums of what was measured."""

    def overrides(self, method: str) -> bool:
        """Tell whether the class of the optimizer has a method of its own."""

    def projects(self) -> bool:
        """Tell whether a transform decides which gradient the rule sees."""

    def summing(self) -> list[str]:
        """Return the names of those that need sums over all parameters."""


def for_all(measures: Sequence[Measure], groups: Sequence[Group]) -> list[Pass]:
    """Return a pass for each measurement, whose sums are those over all groups."""
    count = len(groups)
    return [Pass([measure] * count, [None] * count) for measure in measures]


def rules_of(
    optimizer: Stepped, groups: Sequence[Group], rule: Rule | None = None
) -> list[tuple[Rule, object]]:
    """Return the rule of each group and what stands for it if it may be repeated; see `pure`.

    Args:
        optimizer: Whose groups they are.
        groups: The groups.
        rule: The rule of all; None for that which a step calls.
    """
    found: list[tuple[Rule, object]] = []
    before: object = None
    for group in groups:
        algorithm = optimizer.algorithm_of(group)
        if algorithm is before:
            found.append(found[-1])
            continue
        before, own = algorithm, rule or algorithm.whole_rule()
        found.append((own, pure(algorithm, own)))
    return found


def params_of(optimizer: Grouped) -> list[Tensor]:
    """Return the parameters of all groups."""
    return [param for group in optimizer.param_groups for param in group["params"]]


def called(closure: Callable[[], float] | None) -> float | None:
    """Return the loss of a closure, called with gradients on; None without one."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def takes_scaled_gradients(groups: Sequence[Group]) -> bool:
    """Tell whether a `GradScaler` is to hand over its scale and leave the gradients as they are.

    As in `torch.optim`, only `fused=True` asks for it, because code that clips gradients needs them
    divided by the scale before the step. Gradients in float16 are always handed over with the
    scale, because `GradScaler` refuses to divide them.
    """
    return any(
        group["fused"] or any(param.dtype is torch.float16 for param in group["params"])
        for group in groups
    )


@contextmanager
def due_gradients(
    chain: Chain, params: Sequence[Tensor], state_of: Callable[[Tensor], State]
) -> Iterator[list[Tensor]]:
    """Give a zero gradient to parameters that have none now, but had one that was held back.

    Args:
        chain: The transforms.
        params: The parameters.
        state_of: Returns the state of one of them, to be changed.

    Yields:
        The parameters that were given one.
    """
    due: list[Tensor] = []
    if chain.overriding("is_due"):
        without = [param for param in params if param.grad is None]
        due = [param for param in without if chain.is_due(state_of(param))]
    try:
        for param in due:
            param.grad = torch.zeros_like(param)
            state_of(param)[HELD_ONLY] = True
        yield due
    finally:
        for param in due:
            param.grad = None
            state_of(param).pop(HELD_ONLY, None)
