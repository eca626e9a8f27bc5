"""The contract between an optimizer and the engine that runs it.

An optimizer is a *rule* for one parameter. An engine calls it for all of them, and stands between
the rule and what the tensors really are: complex numbers, half precision, master weights, scaled
gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

State: TypeAlias = dict[str, Any]
"""What an optimizer remembers of one parameter: tensors and Python numbers by name."""

States: TypeAlias = dict[Tensor, State]
"""The state of each parameter."""

Group: TypeAlias = dict[str, Any]
"""Parameters that share hyper-parameters, and these hyper-parameters by name."""

Rule: TypeAlias = Callable[[State, Group, Tensor, Tensor], None]
"""What is done to one parameter, called as `rule(state, group, grad, param)`."""


Measure: TypeAlias = Callable[[State, Group, Tensor, Tensor], dict[str, Tensor]]
"""What is measured of one parameter, called like a `Rule`: numbers by name."""


def buffer(state: State, key: str, like: Tensor) -> Tensor:
    """Return what an option keeps in the state, zeros where it has only now come to need it.

    Options are switched on and off between steps, so a rule makes what they need where it needs it,
    and not in `init_state`.
    """
    if key not in state:
        state[key] = torch.zeros_like(like)
    kept: Tensor = state[key]
    return kept


def wide_dtype(param: Tensor) -> torch.dtype:
    """Return the precision of state that gathers little by little: float32 at least.

    A mean that takes the share 1 - d of each new value stands still in half precision where this
    is less than its last place: bfloat16 has eight bits, and 0.001 is less than 1/256.
    """
    return torch.promote_types(param.dtype, torch.float32)


def scalar_dtype() -> torch.dtype:
    """Return the precision of the numbers of a state in `torch.optim`: float32, if not double.

    It is the one thing that depends on torch's default dtype, because it does so there.
    """
    return torch.float64 if torch.get_default_dtype() is torch.float64 else torch.float32


class Work(NamedTuple):
    """What is to be done to every parameter.

    Attributes:
        rule: Called as `rule(state, group, grad, param)`.
        grad_scale: What the gradients were multiplied by, or None.
        pure: If the rule is a function of its arguments alone, so that what it did once can be
            repeated with other numbers: something that differs between two such rules. Else None.
    """

    rule: Rule
    grad_scale: float | None = None
    pure: object = None


class Batch(NamedTuple):
    """The parameters of one group whose turn it is, with their gradients in the same order."""

    group: Group
    params: list[Tensor]
    grads: list[Tensor]


class Stateful(Protocol):
    """What an engine needs of an optimizer besides the rule: how its state begins."""

    def begin_state(self, state: State, group: Group, param: Tensor) -> None:
        """Fill the empty `state` of `param`."""

    def check_listed(self) -> None:
        """Check what the lists of parameters hold, if that is not what it was."""

    def sparse_obstacle(self, group: Group) -> str | None:
        """Return why a step cannot take sparse gradients of a group, or None if it can."""
