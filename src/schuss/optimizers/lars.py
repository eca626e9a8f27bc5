r"""LARS: momentum with a learning rate for every layer.

You, Gitman and Ginsburg, *Large Batch Training of Convolutional Networks*, 2017, Algorithm 1.
<https://arxiv.org/abs/1708.03888>

$$
\begin{aligned}
q_t &= \tau\, \frac{\lVert \theta_{t-1} \rVert_2}{\lVert g_t \rVert_2 + \lambda \lVert \theta_{t-1}
    \rVert_2 + \epsilon} \\
b_t &= \mu\, b_{t-1} + q_t\, (g_t + \lambda\, \theta_{t-1}) \\
u_t &= b_t
\end{aligned}
$$

The local rate $q_t$ amplifies a gradient that is small beside its weights. Weights of zero have a
local rate of 1, or they would stay there. The paper has the global rate within the buffer; here it
stands outside, as in `torch.optim`'s SGD. Biases and normalization are commonly left out: give
their group `trust_coefficient=None`. The defaults are the paper's momentum and share; timm has no
momentum, and optax no stabilizer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, flag, hyper, rate
from schuss.domains import at_least, or_none
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay, InUpdate


class LARS(Optimizer):
    """LARS. Keeps one buffer per parameter."""

    lr: float | Tensor = rate(default=1.0)
    momentum: float = hyper("μ", "decay rate of the buffer", at_least(0), default=0.9)
    weight_decay: Decay = decay("in update", default=0.0)
    trust_coefficient: float | None = hyper(
        "τ",
        "factor of the local rate, or None for a local rate of 1",
        or_none(at_least(0)),
        default=1e-3,
        kw_only=True,
    )
    eps: float = hyper(
        "ε", "stabilizer, of the local rate", at_least(0), default=1e-8, kw_only=True
    )
    nesterov: bool = flag("look ahead along the buffer", default=False, kw_only=True)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the buffer at zero."""
        state["momentum_buffer"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradients, each times its local rate, gathered in the buffer."""
        step = self.weight_decay.in_update(grad, param, group)
        if group["trust_coefficient"] is not None:
            step = step * self.local_rate(group, grad, param)
        b: Tensor = state["momentum_buffer"].mul_(group["momentum"]).add_(step)
        return step.add(b, alpha=group["momentum"]) if group["nesterov"] else b

    def local_rate(self, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the local rate."""
        decay = self.weight_decay
        coefficient = decay.coefficient(group) if isinstance(decay, InUpdate) else 0.0
        weight = param.norm()
        whole = grad.norm() + coefficient * weight
        rate = weight * group["trust_coefficient"] / (whole + group["eps"])
        return torch.where((weight > 0) & (whole > 0), rate, 1.0)
