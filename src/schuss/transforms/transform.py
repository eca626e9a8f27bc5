"""The base class of transforms, which act before, after and around the rule of an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import Constructed
from schuss.hyperparameters import Checked, refuse


class Transform(Checked, Constructed):
    """Changes what goes into the rule of any optimizer, or what comes out of it.

    Give an optimizer a list of them: `AdamW(params, transforms=[ClipByGlobalNorm(1.0), EMA()])`.
    Most transforms override one or two of these methods, which are called for every parameter that
    has a gradient, in the order of the list:

    1. `gradient` changes the gradient; the weight decay and the rule of the optimizer follow;
    2. `around` calls the rule, which sees the gradient that it is given there;
    3. `update` changes the update of the rule; the step is taken along the last one's result;
    4. `parameter` sees or changes the parameter after the step.

    A call of `optimizer.step(closure)` calls all methods in this order. Methods that decide
    something are called once, and the others for every parameter:

    1. `holds_back`, once. If it is true, `measure` and `skips` of the transforms before this one
       follow, then `hold` after their `gradient`, then `held` once, and the call is over.
    2. `measure_climb`, if `climb` is overridden; its results are added up.
    3. `climb`, with these sums. The closure then computes the gradients anew. `return_from_climb`
       is called if the closure raises an error, or leaves no new gradient.
    4. `is_due`, for parameters without a gradient, which get one of zeros if it is true.
    5. `measure`; its results are added up.
    6. `refusal` and `skips`, once, with these sums. If there is a refusal, `refused` and `skipped`
       follow, and the call is over.
    7. `gradient`, the weight decay, `around` with the rule, `update`, the change of the parameter,
       `parameter`.
    8. `stepped`, once, also after a skipped step that gradients had been held back for.

    `init_state` is called once for each parameter, before any other method gets its state.
    `evaluated` is called outside of steps, when the optimizer enters evaluation. Where `measure`
    needs the gradient as the transforms before leave it, their `gradient` runs twice in a step,
    first on a copy of the state.

    Where a transform holds gradients back, as `Accumulate` does, the transforms before it see the
    gradient of every call, and those after it see the gradient that the step is taken along. A step
    that is skipped by one before is as if the call had not been made.

    The methods that compute with gradients are traced like the rule, `gradient`, `update` and
    `parameter` into the same kernel. As in a rule, there must be no `if` on the value of a tensor.
    The arguments of the constructor are hyper-parameters of the parameter groups, where they can
    differ from group to group, can be changed between steps, and are saved. An optimizer takes one
    transform of a kind.

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

    def _construct(self, values: dict[str, Any], given: set[str], others: dict[str, Any]) -> None:
        """Begin, with the values of declared arguments.

        Raises:
            TypeError: There are others.
        """
        refuse(others, type(self))
        Transform.__init__(self, **values)

    def __repr__(self) -> str:
        """Name the class and its hyper-parameters."""
        arguments = ", ".join(f"{key}={value!r}" for key, value in self._defaults.items())
        return f"{type(self).__name__}({arguments})"

    def defaults(self) -> dict[str, Any]:
        """Return the hyper-parameters for a parameter group."""
        return dict(self._defaults)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Add the tensors and numbers that the transform remembers of `param` to its state."""

    def check_parameters(self, group: Group) -> None:
        """Check the parameters of a group; override it if some are refused.

        Raises:
            TypeError: The transform does not take one.
        """

    def seen(self, group: Group, param: Tensor) -> Tensor:
        """Return what the rule begins its state with in place of a parameter; see `around`."""
        return param

    def measure(self, state: State, group: Group, grad: Tensor, param: Tensor) -> dict[str, Tensor]:
        """Return numbers of one parameter whose sums are needed; see `Optimizer.measure`.

        The gradient is what the transforms before this one return.
        """
        return {}

    def skips(self, sums: Mapping[str, Tensor], groups: Sequence[Group]) -> bool:
        """Tell whether the step is not to be taken at all; a GPU is waited for.

        Args:
            sums: The sums over all parameters of what was measured, by name.
            groups: The groups, where it may be counted.
        """
        return False

    def refusal(self, sums: Mapping[str, Tensor]) -> Tensor | None:
        """Return a number that is not zero if the step is not to be taken, or None.

        A GPU is not waited for if `skips` and `skipped` are not needed: it takes the step or leaves
        it out when it knows the number.

        Args:
            sums: The sums over all parameters of what was measured, by name.
        """
        return None

    def refused(self, groups: Sequence[Group]) -> None:
        """Take note in the groups that a step was left out because of `refusal`."""

    def gradient(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient for the next transform, and in the end for the rule; override it."""
        return grad

    def around(
        self,
        rule: Callable[[Tensor, Tensor], Tensor],
        state: State,
        group: Group,
        grad: Tensor,
        param: Tensor,
    ) -> Tensor:
        """Return the update, made by the rule of what it is given here; override it.

        The rule may be given a gradient of another shape than the parameter's, and its state then
        has that shape: `seen` returns a tensor of it. One transform of an optimizer may do so.

        Args:
            rule: The rule, to be called once, as `rule(grad, param)`.
            state: The parameter's state, to be changed in place.
            group: The hyper-parameters.
            grad: The gradient, with the weight decay if that is added to it; only read.
            param: The parameter; only read.
        """
        return rule(grad, param)

    def update(
        self, state: State, group: Group, update: Tensor, grad: Tensor, param: Tensor
    ) -> Tensor:
        """Return the update for the next transform, and in the end for the step; override it.

        Args:
            state: The parameter's state, to be changed in place.
            group: The hyper-parameters.
            update: The update that the rule, or the transform before, returned; only read.
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

        The sums of the results of `measure_climb` are in the group.
        """

    def measure_climb(
        self, state: State, group: Group, grad: Tensor, param: Tensor
    ) -> dict[str, Tensor]:
        """Return numbers of one parameter whose sums `climb` needs."""
        return {}

    def return_from_climb(self, state: State, param: Tensor) -> None:
        """Move `param` back, because there will be no step."""

    def skipped(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Undo the preparations for a step that is not taken after all."""
