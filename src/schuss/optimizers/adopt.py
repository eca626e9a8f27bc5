r"""ADOPT: normalize by the past, then average.

Taniguchi et al., *ADOPT: Modified Adam Can Converge with Any β₂ with the Optimal Rate*, 2024,
Algorithm 2, with the clipping of section 4.
<https://arxiv.org/abs/2411.02853>

$$
\begin{aligned}
v_1 &= g_1^2, \qquad \theta_1 = \theta_0 \\
m_t &= \beta_1 m_{t-1} + (1 - \beta_1) \operatorname{clip}\bigl(g_t / \max(\sqrt{v_{t-1}},\,
    \epsilon),\; c_t\bigr), \qquad c_t = (t - 1)^{1/4} \\
u_t &= m_t \\
v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2
\end{aligned}
$$

Adam divides a gradient by a second moment that contains this gradient, and the examples on which
Adam diverges rely on that. ADOPT divides by the second moment of the step before. The first
gradient only fills the second moment: no weight moves, and none decays.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.contract import Group, State
from schuss.declarations import decay, flag, hyper, moment_rates, rate
from schuss.domains import at_least, or_none
from schuss.transforms.weight_decay import Decay


class ADOPT(GenericAdaptiveOptimizer):
    """ADOPT. Keeps two buffers per parameter."""

    lr: float | Tensor = rate(default=1e-3)
    betas: tuple[float | Tensor, float | Tensor] = moment_rates(default=(0.9, 0.9999))
    eps: float = hyper("ε", "the smallest divisor", at_least(0), default=1e-6)
    weight_decay: Decay = decay(default=0.0)
    clip_exponent: float | None = hyper(
        "",
        "the exponent of t - 1 in the bound of a normalized gradient, or None for no "
        "bound, as in the first version of the paper",
        or_none(at_least(0)),
        default=0.25,
        kw_only=True,
    )
    decoupled_weight_decay: bool = flag(
        "let a mere coefficient λ decay the weight itself", default=False, kw_only=True
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the count; the moments come with the first gradient."""
        state["step"] = 0

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return the learning rate, which is zero in the first step."""
        return super().get_lr(state, group) if "exp_avg_sq" in state else 0.0

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the mean of the normalized gradients."""
        beta1, beta2 = group["betas"]
        if "exp_avg_sq" not in state:
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(param), grad.square()
            return grad  # times zero
        m, v = state["exp_avg"], state["exp_avg_sq"]
        unit = grad / v.sqrt().clamp(min=group["eps"])
        if group["clip_exponent"] is not None:
            bound = (state["step"] - 1) ** group["clip_exponent"]
            unit = unit.clamp(-bound, bound)
        m.lerp_(unit, 1 - beta1)
        v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        return m
