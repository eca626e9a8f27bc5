r"""Adan: Nesterov's momentum from differences of gradients.

Xie et al., *Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models*, 2022,
Algorithm 1.
<https://arxiv.org/abs/2208.06677>

$$
\begin{aligned}
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
d_t &= \beta_2 d_{t-1} + (1 - \beta_2)\, (g_t - g_{t-1}), \qquad g_0 = g_1 \\
n_t &= \beta_3 n_{t-1} + (1 - \beta_3)\, \bigl(g_t + \beta_2 (g_t - g_{t-1})\bigr)^2 \\
u_t &= (\hat m_t + \beta_2\, \hat d_t) / \bigl(\sqrt{\hat n_t} + \epsilon\bigr) \\
\theta_t &= (\theta_{t-1} - \gamma u_t) / (1 + \gamma \lambda)
\end{aligned}
$$

Nesterov's momentum needs the gradient at a point ahead. Adan estimates this gradient from the
change between the last two gradients, so that no second backward pass is needed. The decay is the
proximal map of an L2 penalty: a division by $1 + \gamma \lambda$. The decay rates are one minus
those that the paper writes. The paper corrects no bias; the authors' code does, and so does this
class.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate, stabilizer
from schuss.domains import decay_rates
from schuss.transforms import InUpdate, WeightDecay
from schuss.transforms.weight_decay import Decay


class Adan(GenericAdaptiveOptimizer):
    """Adan. Keeps four buffers per parameter."""

    lr: float | Tensor = rate(default=1e-3)
    betas: tuple[float | Tensor, float | Tensor, float | Tensor] = hyper(
        "β₁, β₂, β₃",
        "decay rates β₁ of the mean, β₂ of the mean difference, β₃ of the second moment",
        decay_rates(3),
        default=(0.98, 0.92, 0.99),
    )
    eps: float = stabilizer("added to the root of the second moment", default=1e-8)
    weight_decay: Decay = decay("decoupled", default=0.0)

    def decay_object(self, values: dict[str, Any]) -> WeightDecay:
        """Return the decay of this algorithm, unless another one is given."""
        if not isinstance(values["weight_decay"], WeightDecay):
            values["weight_decay"] = _Proximal(values["weight_decay"])
        return super().decay_object(values)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start all means at zero; the last gradient comes with the first."""
        state["step"] = 0
        for key in ("exp_avg", "exp_avg_diff", "exp_avg_sq"):
            state[key] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the mean, with that of the differences, over the root of the second moment."""
        beta1, beta2, beta3 = group["betas"]
        step, n = state["step"], state["exp_avg_sq"]
        difference = grad - state.get("previous_grad", grad)
        state["previous_grad"] = grad.clone()
        m = state["exp_avg"].lerp_(grad, 1 - beta1)
        d = state["exp_avg_diff"].lerp_(difference, 1 - beta2)
        ahead = grad + beta2 * difference
        n.mul_(beta3).addcmul_(ahead, ahead, value=1 - beta3)
        n_hat = n / (1 - beta3**step)
        m_hat, d_hat = m / (1 - beta1**step), d / (1 - beta2**step)
        u: Tensor = (m_hat + beta2 * d_hat) / (n_hat.sqrt() + group["eps"])
        return self.weight_decay.in_update(u, param, group)


class _Proximal(InUpdate):
    """Divides the parameter after the step, as a part of the update."""

    def in_update(self, update: Tensor, param: Tensor, group: Group) -> Tensor:
        """Return the update that ends where the step and then the decay do."""
        coefficient = self.coefficient(group)
        if coefficient == 0:
            return update
        return (update + coefficient * param) / (1 + group["lr"] * coefficient)
