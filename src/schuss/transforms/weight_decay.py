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

from typing import Any

from torch import Tensor

from schuss.contract import Group
from schuss.hyperparameters import check_not_negative


class WeightDecay:
    """Decay weights by a share of themselves ($L_2$).

    Any optimizer takes one as its `weight_decay`. All three arguments become hyper-parameters of
    the parameter group (`weight_decay`, `decoupled_weight_decay`, `absolute_weight_decay`), where
    they can differ from group to group, and are saved.

    Args:
        weight_decay: Coefficient λ, at least 0.
        weight_decouple: Act on the parameter, not on the gradient.
        absolute: When decoupled, do not multiply by the learning rate.

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

    def __init__(
        self, weight_decay: float = 0.0, weight_decouple: bool = True, absolute: bool = False
    ) -> None:
        self._defaults = {
            "weight_decay": weight_decay,
            "decoupled_weight_decay": weight_decouple,
            "absolute_weight_decay": absolute,
        }
        self.check_group(self._defaults)

    def __repr__(self) -> str:
        """Name the class and its arguments."""
        value, decoupled, absolute = self._defaults.values()
        return f"{type(self).__name__}({value}, weight_decouple={decoupled}, absolute={absolute})"

    def defaults(self) -> dict[str, Any]:
        """Return the hyper-parameters for a parameter group."""
        return dict(self._defaults)

    def check_group(self, group: Group) -> None:
        """Check the coefficient of a group.

        Raises:
            ValueError: It is negative, or the group uses the name of an argument for that of a
                hyper-parameter.
            TypeError: It is not a number.
        """
        check_not_negative(group, "weight_decay", "weight_decay value")
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
            coefficient = group["lr"] * coefficient
        self.shrink_(param, coefficient)
        return grad

    def penalized(self, grad: Tensor, param: Tensor, coefficient: float) -> Tensor:
        """Return `grad` plus the gradient of the penalty."""
        return grad.add(param, alpha=coefficient)

    def shrink_(self, param: Tensor, amount: float) -> None:
        """Move `param` towards zero in place."""
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


def as_weight_decay(weight_decay: float | WeightDecay, *, decoupled: bool) -> WeightDecay:
    """Return the decay object for an optimizer's `weight_decay` argument.

    Args:
        weight_decay: The object itself, or a coefficient.
        decoupled: How a mere coefficient acts.
    """
    if isinstance(weight_decay, WeightDecay):
        return weight_decay
    return WeightDecay(weight_decay, weight_decouple=decoupled)


def check_same_kind(decay: WeightDecay, of_optimizer: WeightDecay) -> None:
    """Refuse a decay object for a group that is of another kind than the optimizer's."""
    if type(decay) is not type(of_optimizer):
        raise TypeError(
            f"a group asks for {decay!r}, but this optimizer decays by {of_optimizer!r}; "
            "give the optimizer itself the kind of decay, and groups its hyper-parameters"
        )
