r"""LaProp: normalize, then average.

Ziyin, Wang and Ueda, *LaProp: Separating Momentum and Adaptivity in Adam*, 2020, Algorithm 1.
<https://arxiv.org/abs/2002.04839>

$$
\begin{aligned}
v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t / \bigl(\sqrt{\hat v_t} + \epsilon\bigr) \\
u_t &= \hat m_t
\end{aligned}
$$

Adam divides old gradients by the second moment of today; with a large $\beta_1$ and a small
$\beta_2$ it diverges. Here each gradient is divided by that of its own time, and any pair of decay
rates is safe. The authors' code has the learning rate inside of the mean, so that a schedule acts
with a delay; here it acts at once, as in the paper.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate, stabilizer
from schuss.domains import decay_rates
from schuss.transforms.weight_decay import Decay


class LaProp(GenericAdaptiveOptimizer):
    """LaProp. Keeps two buffers per parameter."""

    lr: float | Tensor = rate(default=4e-4)
    betas: tuple[float | Tensor, float | Tensor] = hyper(
        "β₁, β₂",
        "decay rates β₁ of the mean and β₂ of the second moment",
        decay_rates(2),
        default=(0.9, 0.999),
    )
    eps: float = stabilizer("added to the root of the second moment", default=1e-15)
    weight_decay: Decay = decay("decoupled", default=0.0)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean and the second moment at zero."""
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_avg_sq"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the mean of the normalized gradients."""
        beta1, beta2 = group["betas"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        v_hat = v / (1 - beta2 ** state["step"])
        m.lerp_(grad / (v_hat.sqrt() + group["eps"]), 1 - beta1)
        m_hat: Tensor = m / (1 - beta1 ** state["step"])
        return m_hat
