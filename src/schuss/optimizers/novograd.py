r"""NovoGrad: one second moment for each layer.

Ginsburg et al., *Training Deep Networks with Stochastic Gradient Normalized by Layerwise Adaptive
Second Moments*, 2019, Algorithm 1.
<https://arxiv.org/abs/1905.11286>

$$
\begin{aligned}
v_1 &= \lVert g_1 \rVert_2^2, \qquad
v_t = \beta_2 v_{t-1} + (1 - \beta_2) \lVert g_t \rVert_2^2 \\
m_t &= \beta_1 m_{t-1} + \Bigl(\frac{g_t}{\sqrt{v_t} + \epsilon} + \lambda\, \theta_{t-1}\Bigr) \\
u_t &= m_t
\end{aligned}
$$

The gradient of each parameter is divided by its own norm, averaged over the steps, before it enters
the momentum. The optimizer needs half of Adam's memory, and the decay is part of the momentum.
Gradients of zero come before $g_1$: had the mean of squares begun with one, the next step would be
$1 / \sqrt{1 - \beta_2}$ times, by default seven times, too long. The decay rates are those of
timm's defaults; optax has (0.9, 0.25).
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.contract import Group, State
from schuss.declarations import decay, flag, hyper, rate, stabilizer
from schuss.domains import decay_rates
from schuss.transforms.weight_decay import Decay


class NovoGrad(GenericAdaptiveOptimizer):
    """NovoGrad. Keeps one buffer per parameter, and one number."""

    lr: float | Tensor = rate(default=1e-2)
    betas: tuple[float | Tensor, float | Tensor] = hyper(
        "β₁, β₂",
        "decay rates β₁ of the momentum and β₂ of the square of the norm",
        decay_rates(2),
        default=(0.95, 0.98),
    )
    eps: float = stabilizer("added to the norm", default=1e-8)
    weight_decay: Decay = decay("in update", default=0.0)
    grad_averaging: bool = flag(
        "make the momentum a mean, with the share 1 - β₁ of each gradient",
        default=False,
        kw_only=True,
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the momentum at zero; the mean of squares comes with the first gradient."""
        state["exp_avg"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the momentum of normalized gradients."""
        beta1, beta2 = group["betas"]
        square = grad.square().sum()
        v = state.get("exp_avg_sq", torch.zeros_like(square))
        v = torch.where(v == 0, square, v * beta2 + square * (1 - beta2))
        state["exp_avg_sq"] = v
        # Nothing over nothing is nothing.
        unit = torch.where(v > 0, grad / (v.sqrt() + group["eps"]), 0.0)
        step = self.weight_decay.in_update(unit, param, group)
        share = 1 - beta1 if group["grad_averaging"] else 1
        m: Tensor = state["exp_avg"].mul_(beta1).add_(step, alpha=share)
        return m
