"""The surroundings of every rule: the scale and the sign of the gradient, and master weights.

The loop does it with tensors. Where a rule is traced, the same functions are called with stand-ins,
so that it becomes part of the program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from schuss.contract import Group, Rule, State
from schuss.storage import master


def descending(grad: Tensor, group: Group, grad_scale: float | Tensor | None) -> Tensor:
    """Return a gradient as a rule sees it: without its scale, and uphill if uphill is the goal.

    Args:
        grad: The gradient, in the precision of the rule: a small gradient divided by a large scale
            is zero in float16.
        group: The group.
        grad_scale: The factor of the gradient, as `torch.amp.GradScaler` sets it, or None.
    """
    if grad_scale is not None:
        grad = grad / grad_scale
    return -grad if group["maximize"] else grad


def run_on_master(
    rule: Rule,
    state: State,
    group: Group,
    grad: Tensor,
    param: Tensor,
    untouched: Callable[[Tensor, Tensor], Tensor] = master.is_untouched,
) -> None:
    """Run a rule on the master weight of a parameter, which becomes the master, rounded.

    Args:
        rule: The rule.
        state: Its state, with the master.
        group: The group.
        grad: The gradient.
        param: The parameter.
        untouched: Tells where a parameter is its master, rounded.
    """
    weight = master.synchronized_master(state, param, untouched)
    rule(state, group, grad, weight)
    param.copy_(weight)


def surrounded(rule: Rule, grad_scale: float | Tensor | None, rounding: str | None) -> Rule:
    """Return a rule for stand-ins, with all that is done around it.

    Args:
        rule: The rule.
        grad_scale: The factor of the gradient.
        rounding: The operation that tells whether a number rounds to another one, of the precision
            of the parameter, if the rule is to see its master weight.
    """

    def untouched(weight: Any, param: Any) -> Any:
        return weight.tape.record(rounding, weight, param)

    def around(state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        grad = descending(grad, group, grad_scale)
        if rounding is None:
            rule(state, group, grad, param)
        else:
            run_on_master(rule, state, group, grad, param, untouched)

    return around
