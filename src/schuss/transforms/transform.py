"""What stands before, after and around the rule of an optimizer: the base class of transforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import Constructed
from schuss.hyperparameters import Checked


class Transform(Checked, Constructed):
    """Changes what goes into the rule of any optimizer, or what comes out of it.

    Give an optimizer a list of them: `AdamW(params, transforms=[ClipByGlobalNorm(1.0), EMA()])`.
    In each step come, for every parameter:

    1. `gradient` of each, in the order of the list;
    2. the weight decay of the optimizer;
    3. its rule;
    4. `update` of each, in the order of the list, and the step along what the last one returns;
    5. `parameter` of each, in the order of the list.

    Where one of them holds gradients back, as `Accumulate` does, those before it see the gradient
    of every call, and those after it what the step is taken along.

    A subclass overrides what it needs. All of it is traced with the rule, into the same kernel, and
    as in a rule, there must be no `if` on the value of a tensor. The arguments of the constructor
    are hyper-parameters of the parameter groups, where they can differ from group to group, can be
    changed between steps, and are saved. An optimizer takes one transform of a kind.

    Args:
        **hyperparameters: The hyper-parameters, by names that no optimizer uses.

    Raises:
        ValueError: One lies outside of its domain.
        TypeError: One is of the wrong type.

    Example:
        >>> import torch
        >>> from schuss import SGD, Transform
        >>> class Halve(Transform):
        ...     def update(self, state, group, update, grad, param):
        ...         return update * group["share"]
        >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
        >>> weight.grad = torch.tensor([1.0])
        >>> SGD([weight], lr=1.0, transforms=[Halve(share=0.5)]).step()
        >>> weight.data
        tensor([0.5000])
    """

    def __init__(self, **hyperparameters: Any) -> None:
        self._defaults = hyperparameters
        self.check_group(hyperparameters)

    def _construct(self, values: dict[str, Any], others: dict[str, Any]) -> None:
        """Begin, with the values of declared arguments.

        Raises:
            TypeError: There are others.
        """
        if others:
            raise TypeError(
                f"{type(self).__name__} got an unexpected keyword argument {next(iter(others))!r}; "
                f"it takes {', '.join(values)}"
            )
        Transform.__init__(self, **values)

    def __repr__(self) -> str:
        """Name the class and its hyper-parameters."""
        arguments = ", ".join(f"{key}={value!r}" for key, value in self._defaults.items())
        return f"{type(self).__name__}({arguments})"

    def defaults(self) -> dict[str, Any]:
        """Return the hyper-parameters for a parameter group."""
        return dict(self._defaults)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Add what is to be remembered of `param` to its state."""

    def measure(self, state: State, group: Group, grad: Tensor, param: Tensor) -> dict[str, Tensor]:
        """Return numbers of one parameter whose sums are needed; see `Optimizer.measure`.

        The gradient is what the transforms before this one return.
        """
        return {}

    def skips(self, sums: Mapping[str, Tensor], groups: Sequence[Group]) -> bool:
        """Tell whether the step is not to be taken at all.

        Args:
            sums: The sums over all parameters of what was measured, by name.
            groups: The groups, where it may be counted.
        """
        return False

    def gradient(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient to use from here on."""
        return grad

    def update(
        self, state: State, group: Group, update: Tensor, grad: Tensor, param: Tensor
    ) -> Tensor:
        """Return the update to use from here on.

        Args:
            state: The parameter's state, to be changed in place.
            group: The hyper-parameters.
            update: What the rule, or the transform before, returned; only read.
            grad: The gradient that the rule was given; only read.
            param: The parameter before the step; only read.
        """
        return update

    def parameter(self, state: State, group: Group, param: Tensor) -> None:
        """See, or change in place, the parameter after the step."""

    def evaluated(self, state: State, group: Group, param: Tensor) -> Tensor:
        """Return the weights to evaluate with, if they are not those that are trained."""
        return param

    def holds_back(self, groups: Sequence[Group]) -> bool:
        """Tell whether this call of `step` only takes the gradients to `hold`; changes nothing."""
        return False

    def hold(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Keep a gradient for a later step."""

    def held(self, groups: Sequence[Group]) -> None:
        """Count a call of `step` whose gradients were held back."""

    def stepped(self, groups: Sequence[Group]) -> None:
        """Begin to count anew: the step that gradients were held back for was taken, or skipped."""

    def is_due(self, state: State) -> bool:
        """Tell whether a parameter without a gradient has one that was held back."""
        return False

    def climb(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Move `param` to where the gradient is to be taken anew; `gradient` moves it back.

        What is to be summed up over the parameters before is returned by `measure_climb`.
        """

    def measure_climb(
        self, state: State, group: Group, grad: Tensor, param: Tensor
    ) -> dict[str, Tensor]:
        """Return what `climb` needs the sums of."""
        return {}

    def return_from_climb(self, state: State, param: Tensor) -> None:
        """Move `param` back, because there will be no step."""

    def skipped(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Put away what was prepared for a step that is not taken after all."""
