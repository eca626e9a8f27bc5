"""The surroundings of a rule while it is traced: the gradient's scale and sign, master weights."""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, Rule, State
from schuss.storage import master


def prepared(rule: Rule, grad_scale: float | None, half: torch.dtype | None) -> Rule:
    """Return a rule with what the loop engine does around it.

    Args:
        rule: The rule.
        grad_scale: What the gradient was multiplied by.
        half: The precision of the parameter, if the rule is to see its master weight.
    """

    def around(state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        if grad_scale is not None:
            grad = grad / grad_scale
        if group["maximize"]:
            grad = -grad
        if half is None:
            rule(state, group, grad, param)
            return
        weight = state[master.KEY]
        rounded = weight.tape.record(f"rounded_to_{str(half).removeprefix('torch.')}", weight)
        weight.copy_(torch.where(rounded == param, weight, param))
        rule(state, group, grad, weight)
        param.copy_(weight)

    return around
