r"""Adamax: Adam with the largest gradient in place of the second moment.

Kingma and Ba, *Adam: A Method for Stochastic Optimization*, 2014, Algorithm 2.
<https://arxiv.org/abs/1412.6980>

$$
\begin{aligned}
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
n_t &= \max\bigl(\beta_2 n_{t-1},\, |g_t| + \epsilon\bigr) \\
u_t &= \frac{m_t}{1 - \beta_1^t} \Big/ n_t
\end{aligned}
$$

The largest gradient so far fades by the factor $\beta_2$ in each step. It needs no correction of a
bias, because the first gradient replaces the zero that it starts from. The stabilizer `eps` is that
of `torch.optim`; the paper has none.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate, stabilizer
from schuss.domains import decay_rates
from schuss.transforms.weight_decay import Decay


class Adamax(GenericAdaptiveOptimizer):
    """Adamax. Keeps two buffers per parameter."""

    lr: float | Tensor = rate("about the largest change of a weight in one step", default=2e-3)
    betas: tuple[float | Tensor, float | Tensor] = hyper(
        "β₁, β₂",
        "decay rates β₁ of the mean and β₂ of the largest gradient",
        decay_rates(2),
        default=(0.9, 0.999),
    )
    eps: float = stabilizer("added to the size of the gradient", default=1e-8)
    weight_decay: Decay = decay(default=0.0)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean and the largest gradient at zero."""
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_inf"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the mean over the largest gradient."""
        beta1, beta2 = group["betas"]
        m = state["exp_avg"].lerp_(grad, 1 - beta1)
        n = torch.maximum(state["exp_inf"] * beta2, grad.abs() + group["eps"])
        state["exp_inf"] = n
        return m / (1 - beta1 ** state["step"]) / n
