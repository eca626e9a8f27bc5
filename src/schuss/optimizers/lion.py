r"""Lion: the sign of a momentum that looks ahead.

Chen et al., *Symbolic Discovery of Optimization Algorithms*, 2023, Algorithm 2.
<https://arxiv.org/abs/2302.06675>

$$
\begin{aligned}
u_t &= \operatorname{sign}\bigl(\beta_1 m_{t-1} + (1 - \beta_1)\, g_t\bigr) \\
m_t &= \beta_2 m_{t-1} + (1 - \beta_2)\, g_t
\end{aligned}
$$

Every weight moves by exactly $\gamma$. The gradient counts for more in the direction than in the
buffer, as in Nesterov's momentum. The paper takes a learning rate 3 to 10 times smaller than
AdamW's, and a decay as many times larger.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate
from schuss.domains import decay_rates
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay


class Lion(Optimizer):
    """Lion. Keeps one buffer per parameter."""

    lr: float | Tensor = rate("the change of every weight in one step", default=1e-4)
    betas: tuple[float | Tensor, float | Tensor] = hyper(
        "β₁, β₂",
        "shares of the buffer in the direction, in itself",
        decay_rates(2),
        default=(0.9, 0.99),
    )
    weight_decay: Decay = decay("decoupled", default=0.0)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean at zero."""
        state["exp_avg"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the sign of a mixture in which the gradient counts for more than in the buffer."""
        beta1, beta2 = group["betas"]
        m = state["exp_avg"]
        u = m.lerp(grad, 1 - beta1).sign()
        m.lerp_(grad, 1 - beta2)
        return u
