r"""SGD: gradient descent, with momentum.

Polyak, *Some methods of speeding up the convergence of iteration methods*, 1964; Sutskever et al.,
*On the importance of initialization and momentum in deep learning*, 2013.
<https://proceedings.mlr.press/v28/sutskever13.html>

$$
\begin{aligned}
b_1 &= g_1, \qquad b_t = \mu\, b_{t-1} + (1 - \tau)\, g_t \\
u_t &= \begin{cases}
    g_t + \mu\, b_t & \text{Nesterov} \\
    b_t & \text{otherwise}
\end{cases}
\end{aligned}
$$

The learning rate stands outside of the buffer, as in `torch.optim`, so that a change of it takes
effect at once. A steady gradient makes steps that are $1 / (1 - \mu)$ times as long as without
momentum.
"""

from __future__ import annotations

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, flag, hyper, rate
from schuss.domains import NUMBER, at_least
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay


class SGD(Optimizer):
    """Gradient descent. Keeps one buffer per parameter with momentum, none without."""

    lr: float | Tensor = rate(default=1e-3)
    momentum: float = hyper("μ", "decay rate of the buffer", at_least(0), default=0.0)
    dampening: float = hyper(
        "τ", "share of the gradient that does not enter the buffer", NUMBER, default=0.0
    )
    weight_decay: Decay = decay(default=0.0)
    nesterov: bool = flag(
        "look ahead along the buffer; needs momentum, and no dampening", default=False
    )

    takes_sparse_gradients = True

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient, gathered in the buffer if there is momentum."""
        momentum = group["momentum"]
        if momentum == 0:
            return grad
        b: Tensor | None = state.get("momentum_buffer")
        if b is None:
            b = state["momentum_buffer"] = grad.clone()
        else:
            if b.is_sparse and not grad.is_sparse:
                b = state["momentum_buffer"] = b.to_dense()
            b.mul_(momentum).add_(grad, alpha=1 - group["dampening"])
        return grad.add(b, alpha=momentum) if group["nesterov"] else b

    def check_group(self, group: Group) -> None:
        """Check the hyper-parameters of one group."""
        super().check_group(group)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError(
                "Nesterov momentum requires a momentum and zero dampening; momentum is "
                f"{group['momentum']}, dampening {group['dampening']}"
            )
