r"""Weight decay: pull every weight towards zero.

Loshchilov and Hutter, *Decoupled Weight Decay Regularization*, 2017.
<https://arxiv.org/abs/1711.05101>

A penalty $\lambda\, r(\theta)$ may act in three ways:

$$
\begin{aligned}
\text{added:} \quad g_t &\leftarrow g_t + \lambda \nabla r(\theta_{t-1}) \\
\text{decoupled:} \quad
    \theta_{t-1} &\leftarrow \operatorname{prox}_{\gamma\lambda r}(\theta_{t-1}) \\
\text{absolute:} \quad
    \theta_{t-1} &\leftarrow \operatorname{prox}_{\lambda r}(\theta_{t-1})
\end{aligned}
$$

The first goes through the moments and the normalization of the optimizer, so that weights with
large gradients decay less. The others do not. The second follows the learning rate and its
schedule, the third does not.

For `WeightDecay` $r(\theta) = \tfrac12 \lVert\theta\rVert_2^2$ and the decoupled step is the
customary $\theta \leftarrow (1 - \gamma\lambda)\,\theta$, the proximal map to first order.
For `L1Decay` $r(\theta) = \lVert\theta\rVert_1$ and the proximal map is the soft threshold: as
strong for small weights as for large ones, it takes them to zero and never past it. The step of the
optimizer comes after the decay, so that a useless weight stays within one such step of zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from schuss.contract import Group
from schuss.declarations import Constructed, fixed, flag, hyper
from schuss.domains import FLAG, Domains, above, at_least, or_none
from schuss.hyperparameters import Checked, refuse
from schuss.scalar_math import where


class Decay:
    """The type of `weight_decay`: an optimizer takes a number or an object, and has the object."""

    if TYPE_CHECKING:

        def __get__(self, instance: object, owner: type) -> WeightDecay: ...

        def __set__(self, instance: object, value: float | WeightDecay) -> None: ...


class WeightDecay(Checked, Constructed):
    """Decay weights by a share of themselves ($L_2$).

    Any optimizer takes one as its `weight_decay`. All three arguments become hyper-parameters of
    the parameter group (`weight_decay`, `decoupled_weight_decay`, `absolute_weight_decay`), where
    they can differ from group to group, and are saved.

    Raises:
        ValueError: `weight_decay` is negative.

    Example:
        >>> import torch
        >>> from schuss import Adam, WeightDecay
        >>> layer = torch.nn.Linear(2, 2)
        >>> optimizer = Adam(layer.parameters(), weight_decay=WeightDecay(0.1, absolute=True))
        >>> optimizer.param_groups[0]["absolute_weight_decay"]
        True
    """

    weight_decay: float = hyper("λ", "coefficient", at_least(0), default=0.0)
    weight_decouple: bool = flag("act on the parameter, not on the gradient", default=True)
    absolute: bool = flag("when decoupled, do not multiply by the learning rate", default=False)

    domains = Domains(decoupled_weight_decay=FLAG, absolute_weight_decay=FLAG)

    def _construct(self, values: dict[str, Any], given: set[str], others: dict[str, Any]) -> None:
        """Begin, with the values of declared arguments.

        Raises:
            TypeError: There are others.
        """
        refuse(others, type(self))
        self._defaults = {
            _ARGUMENTS.get(name, name): values[name] for name in self.hypers if name in values
        }
        self.check_group(self._defaults)

    def __repr__(self) -> str:
        """Name the class and its arguments."""
        value, decoupled, absolute = list(self._defaults.values())[:3]
        return f"{type(self).__name__}({value}, weight_decouple={decoupled}, absolute={absolute})"

    def defaults(self) -> dict[str, Any]:
        """Return the hyper-parameters for a parameter group."""
        return dict(self._defaults)

    def check_group(self, group: Group) -> None:
        """Check the decay of a group.

        Raises:
            ValueError: The coefficient is negative, or the group uses the name of an argument for
                that of a hyper-parameter.
            TypeError: The coefficient is not a number, or a flag is not a bool.
        """
        super().check_group(group)
        for argument, key in _ARGUMENTS.items():
            if argument in group:
                raise ValueError(
                    f"the parameter group has {argument!r}; it is called {key!r} there"
                )

    def __call__(self, param: Tensor, grad: Tensor, group: Group) -> Tensor:
        """Decay `param` in place, or return the gradient with the decay added.

        Args:
            param: The parameter.
            grad: Its gradient, of the same shape; never changed.
            group: Its group, read for the hyper-parameters above and `lr`.

        Returns:
            The gradient to use from here on.
        """
        coefficient = group["weight_decay"]
        if coefficient == 0:
            return grad
        if not group.get("decoupled_weight_decay", self._defaults["decoupled_weight_decay"]):
            return self.penalized(grad, param, coefficient)
        if not group.get("absolute_weight_decay", self._defaults["absolute_weight_decay"]):
            coefficient = self.scaled(coefficient, group)
        self.shrink_(param, coefficient)
        return grad

    def scaled(self, coefficient: float, group: Group) -> float:
        """Return the share of the weights that decays in a step of this learning rate."""
        share: float = group["lr"] * coefficient
        return share

    def in_update(self, update: Tensor, param: Tensor, group: Group) -> Tensor:
        """Return an update with the decay that is a part of it: here none; see `InUpdate`."""
        return update

    def penalized(self, grad: Tensor, param: Tensor, coefficient: float) -> Tensor:
        """Return `grad` plus the gradient of the penalty."""
        return grad.add(param, alpha=coefficient)

    def shrink_(self, param: Tensor, amount: float) -> None:
        """Multiply `param` in place by 1 minus an amount; another kind of decay overrides it."""
        param.mul_(1 - amount)


_ARGUMENTS = {"weight_decouple": "decoupled_weight_decay", "absolute": "absolute_weight_decay"}


class L1Decay(WeightDecay):
    """Decay weights by a constant ($L_1$), down to zero and not past it.

    Takes the place of `WeightDecay` in any optimizer, with the same arguments and hyper-parameters.

    Tibshirani, *Regression Shrinkage and Selection via the Lasso*, 1996; the soft threshold as a
    proximal step: Parikh and Boyd, *Proximal Algorithms*, 2014, section 6.5.2.

    Example:
        >>> import torch
        >>> from schuss import L1Decay
        >>> weight = torch.tensor([-3.0, 0.5])
        >>> hyperparameters = {"lr": 1.0, **L1Decay(1.0).defaults()}
        >>> _ = L1Decay()(weight, torch.zeros(2), hyperparameters)
        >>> weight
        tensor([-2.,  0.])
    """

    def penalized(self, grad: Tensor, param: Tensor, coefficient: float) -> Tensor:
        """Return `grad` plus the coefficient times the sign of `param`."""
        return grad.add(param.sign(), alpha=coefficient)

    def shrink_(self, param: Tensor, amount: float) -> None:
        """Soft-threshold `param` in place."""
        param.copy_(param.sign() * (param.abs() - amount).clamp(min=0))


class InUpdate(WeightDecay):
    """Decay that an optimizer adds to its own update, before it looks at the update's norm.

    `LAMB` and its kin make such a decay of a mere coefficient. Where a group adds the decay to the
    gradient or makes it absolute, the decay acts as `WeightDecay` does.
    """

    def __call__(self, param: Tensor, grad: Tensor, group: Group) -> Tensor:
        """Leave the decay to the update."""
        return grad if self.coefficient(group) else super().__call__(param, grad, group)

    def in_update(self, update: Tensor, param: Tensor, group: Group) -> Tensor:
        """Return the update with the coefficient times the parameter added."""
        coefficient = self.coefficient(group)
        return update.add(param, alpha=coefficient) if coefficient else update

    def coefficient(self, group: Group) -> float:
        """Return the coefficient, if it is one of the update."""
        inside = group["decoupled_weight_decay"] and not group["absolute_weight_decay"]
        coefficient: float = group["weight_decay"]
        return coefficient if inside else 0.0


class CorrectedDecay(WeightDecay):
    """Decay in proportion to the square of the learning rate: λ lr² / max_lr.

    A normalized layer turns by lr over the square of its norm, and weight decay lets the norm go
    to where both balance. With a decay in proportion to lr that balance moves as a schedule goes to
    zero, and the gradients grow; with this one it stays.

    Defazio, *Why Gradients Rapidly Increase Near the End of Training*, 2025, section 4.
    <https://arxiv.org/abs/2506.02285>

    """

    weight_decouple: bool = fixed(default=True)
    absolute: bool = fixed(default=False)
    max_lr: float | None = hyper(
        "",
        "the largest learning rate of the schedule; None for `initial_lr`, which "
        "schedulers put into the groups, and without a scheduler the learning rate itself",
        or_none(above(0)),
        default=None,
    )

    def __repr__(self) -> str:
        """Name the class and its arguments."""
        coefficient, max_lr = self._defaults["weight_decay"], self._defaults["max_lr"]
        return f"{type(self).__name__}({coefficient}, max_lr={max_lr})"

    def scaled(self, coefficient: float, group: Group) -> float:
        """Return the share of the weights that decays in a step of this learning rate."""
        lr, max_lr = group["lr"], group.get("max_lr")
        if max_lr is None:
            max_lr = group.get("initial_lr", lr)
        part = where(max_lr != 0, lambda: lr / max_lr, lambda: 0.0)
        share: float = coefficient * lr * part
        return share


def decay_in_update(weight_decay: float | WeightDecay) -> WeightDecay:
    """Return the decay object for an optimizer whose update contains the decay."""
    return weight_decay if isinstance(weight_decay, WeightDecay) else InUpdate(weight_decay)


def as_weight_decay(weight_decay: float | WeightDecay, *, decoupled: bool) -> WeightDecay:
    """Return the decay object for an optimizer's `weight_decay` argument.

    Args:
        weight_decay: The object itself, or a coefficient.
        decoupled: How a mere coefficient acts.
    """
    if isinstance(weight_decay, WeightDecay):
        return weight_decay
    return WeightDecay(weight_decay, weight_decouple=decoupled)


def as_group_values(group: Group, of_optimizer: WeightDecay) -> Group:
    """Return a group with the hyper-parameters of its decay object, if it has one, in its place.

    Raises:
        TypeError: The decay is of another kind than the optimizer's.
    """
    decay = group.get("weight_decay")
    if not isinstance(decay, WeightDecay):
        return dict(group)
    if type(decay) is not type(of_optimizer):
        raise TypeError(
            f"a group asks for {decay!r}, but this optimizer decays by {of_optimizer!r}; "
            "give the optimizer itself the kind of decay, and groups its hyper-parameters"
        )
    return {**group, **decay.defaults()}
