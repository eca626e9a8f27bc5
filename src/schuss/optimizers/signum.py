r"""Signum: the sign of the momentum.

Bernstein et al., *signSGD: Compressed Optimisation for Non-Convex Problems*, 2018, Algorithm 2.
<https://arxiv.org/abs/1802.04434>

$$
\begin{aligned}
m_t &= \beta\, m_{t-1} + (1 - \beta)\, g_t \\
u_t &= \operatorname{sign}(m_t)
\end{aligned}
$$

Every weight moves by exactly $\gamma$, however large its gradient is, so that a good learning rate
is much smaller than SGD's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate
from schuss.domains import DECAY_RATE
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay


class Signum(Optimizer):
    """The sign of the momentum. Keeps one buffer per parameter."""

    lr: float | Tensor = rate(default=1e-4)
    momentum: float = hyper(
        "β", "decay rate of the gradient's mean; 0 is signSGD", DECAY_RATE, default=0.9
    )
    weight_decay: Decay = decay("decoupled", default=0.0)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean at zero."""
        state["exp_avg"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the sign of the gradient's mean."""
        m = state["exp_avg"]
        return m.lerp_(grad, 1 - group["momentum"]).sign()
