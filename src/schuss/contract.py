"""The contract between an optimizer and the engine that runs it.

An optimizer is a *rule* for one parameter. An engine calls it for all of them, and stands between
the rule and what the tensors really are: complex numbers, half precision, master weights, scaled
gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

State: TypeAlias = dict[str, Any]
"""The state of one parameter: everything that an optimizer remembers of it, by name.

`init_state` fills it, given the parameter as it is stored. A rule then finds in it, and may change
or add:

- A tensor of the shape of the parameter, a *buffer*, as `torch.zeros_like(param)` makes it. Beside
  a complex parameter it is complex, and the rule sees the real view of both. Beside a parameter in
  half precision it is in half precision, and the rule sees float32; with `wide_dtype` it is kept in
  float32 too.
- A tensor with the size of the parameter in some of its dimensions, and size 1 in the others or
  without them, for statistics of rows and columns; or with a number for each of some equal parts of
  the first dimension. The parameter must be real.
- A tensor of no dimensions, for one number that the rule computes from tensors. The rule assigns it
  anew (`state[key] = new`), and it is kept in float32 or float64.
- A number of Python. An int that `init_state` sets to 0 is a count; the one under the key `step` is
  the number of the step, and is counted by `Optimizer.step_param` before the rule.
- A string or None, which the rule may branch on.

Any other value is kept and saved, but then the rule runs on the loop engine. A checkpoint holds the
keys of `init_state` always, and those that the rule adds later where they are there.
"""

States: TypeAlias = dict[Tensor, State]
"""The states of all parameters, by parameter."""

Group: TypeAlias = dict[str, Any]
"""A parameter group: hyper-parameters by name, and under `params` the parameters that have them.

Rules read it and never write to it. They find Python's numbers in it, and tensors of no dimensions
where the user gave tensors.
"""

Rule: TypeAlias = Callable[[State, Group, Tensor, Tensor], None]
"""A change of one parameter and its state, called as `rule(state, group, grad, param)`.

The gradient and the parameter have one shape and one dtype, float32 or float64, and are real.
"""

Measure: TypeAlias = Callable[[State, Group, Tensor, Tensor], dict[str, Tensor]]
"""A measurement of one parameter, called like a `Rule`.

It returns tensors of no dimensions by name, which are added up over parameters.
"""


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


COUNTS: Final = frozenset({"accumulated_calls", "skipped_steps", "k"})
"""The keys of a group whose values are whole numbers that the steps themselves count."""


class Work(NamedTuple):
    """A task for an engine: a rule to run for every parameter.

    Attributes:
        rule: Called as `rule(state, group, grad, param)`.
        grad_scale: The factor that a `GradScaler` multiplied the gradients by, or None.
        pure: If the rule is a function of its arguments alone, so that what it did once can be
            repeated with other numbers: something that differs between two such rules. Else None.
        measures: Whether the rule leaves what is measured in a state, and no state.
    """

    rule: Rule
    grad_scale: float | Tensor | None = None
    pure: object = None
    measures: bool = False


class Pass(NamedTuple):
    """A pass over the gradients before a step, in which something is measured.

    Attributes:
        measures: The measurement for each group, in their order; None where nothing is measured.
        sharing: A value for each group. Groups with the same value find the same sums.
    """

    measures: Sequence[Measure | None]
    sharing: Sequence[object]


class Batch(NamedTuple):
    """The parameters of one group whose turn it is, with their gradients in the same order."""

    group: Group
    params: list[Tensor]
    grads: list[Tensor]


class Stateful(Protocol):
    """The methods of an optimizer that an engine calls besides the rule."""

    def begin_state(self, state: State, group: Group, param: Tensor) -> None:
        """Fill the empty `state` of `param`."""

    def check_listed(self) -> None:
        """Check what the lists of parameters hold, if that is not what it was."""

    def sparse_obstacle(self, group: Group) -> str | None:
        """Return why a step cannot take sparse gradients of a group, or None if it can."""
