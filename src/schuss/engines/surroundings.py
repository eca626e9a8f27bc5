"""The surroundings of every rule: the scale and the sign of the gradient, and the full weight.

The loop does it with tensors. Where a rule is traced, the same functions are called with stand-ins,
so that it becomes part of the program.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from schuss.contract import Group, Rule, State
from schuss.storage.master import KEYS, STEP, Apply, Weights, on_tensors


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


def run_on_weight(
    weights: Weights,
    rule: Rule,
    state: State,
    group: Group,
    grad: Tensor,
    param: Tensor,
    apply: Apply = on_tensors,
) -> None:
    """Run a rule on the full weight of a parameter in half precision, and keep what it becomes.

    Args:
        weights: How the weight is kept.
        rule: The rule.
        state: Its state, with what is kept beside the parameter.
        group: The group.
        grad: The gradient.
        param: The parameter.
        apply: Applies operations to what these are: tensors or stand-ins.
    """
    kept = {key: state[key] for key in KEYS if key in state}
    weight = weights.read(apply, kept, param)
    rule(state, group, grad, weight)
    weights.write(apply, kept, param, weight)
    if STEP in kept and STEP in state:
        state[STEP] = kept[STEP] + 1


def surrounded(rule: Rule, grad_scale: float | Tensor | None, weights: Weights | None) -> Rule:
    """Return a rule for stand-ins, with all that is done around it.

    Args:
        rule: The rule.
        grad_scale: The factor of the gradient.
        weights: How the weight is kept, if it is not the parameter alone.
    """

    def around(state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        grad = descending(grad, group, grad_scale)
        if weights is None:
            rule(state, group, grad, param)
        else:
            run_on_weight(weights, rule, state, group, grad, param, recorded)

    return around


def recorded(operation: str, first: Any, *others: Any) -> Any:
    """Add an operation on stand-ins to their program."""
    return first.tape.record(operation, first, *others)
