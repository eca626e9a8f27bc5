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

A gradient is divided by a second moment that does not contain it, which is what Adam's
counterexamples need. The first gradient only fills the second moment: nothing moves, decay
included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.contract import Group, State
from schuss.domains import Domains, at_least, decay_rates, or_none
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class ADOPT(GenericAdaptiveOptimizer):
    """ADOPT. Keeps two buffers per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0.
        betas: Decay rates β₁ and β₂ of the first and the second moment, in [0, 1).
        eps: The smallest divisor ε, at least 0.
        weight_decay: Coefficient λ, at least 0, of an L2 penalty, or a decay object.
        clip_exponent: The exponent of t - 1 in the bound of a normalized gradient, or None for no
            bound, as in the first version of the paper.
        decoupled_weight_decay: What a mere coefficient λ does: decay the weight itself.
        **options: See `schuss.Options`.
    """

    domains = Domains(betas=decay_rates(2), clip_exponent=or_none(at_least(0)))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.9999),
        eps: float = 1e-6,
        weight_decay: float | WeightDecay = 0.0,
        *,
        clip_exponent: float | None = 0.25,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        decay = as_weight_decay(weight_decay, decoupled=decoupled_weight_decay)
        own = {"clip_exponent": clip_exponent}
        super().__init__(params, own, lr, betas, eps, weight_decay=decay, **options)

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
