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

The gradient of each parameter is divided by its own norm before it enters the momentum, which keeps
half of Adam's memory, and decays with it. Gradients of zero come before $g_1$: had the mean of
squares begun with one, the next step would be $1 / \sqrt{1 - \beta_2}$ times, by default seven
times, too long. The decay rates are those of timm's defaults; optax has (0.9, 0.25).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.contract import Group, State
from schuss.domains import FLAG, Domains, decay_rates
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import decay_in_update

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class NovoGrad(GenericAdaptiveOptimizer):
    """NovoGrad. Keeps one buffer per parameter, and one number.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0.
        betas: Decay rates β₁ of the momentum and β₂ of the square of the norm, in [0, 1).
        eps: Stabilizer ε, at least 0, added to the norm.
        weight_decay: Coefficient λ, at least 0, of decay within the momentum, or a decay object,
            which does as it does in other optimizers.
        grad_averaging: Make the momentum a mean, with the share 1 - β₁ of each gradient.
        **options: See `schuss.Options`.
    """

    domains = Domains(betas=decay_rates(2), grad_averaging=FLAG)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        betas: tuple[float | Tensor, float | Tensor] = (0.95, 0.98),
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 0.0,
        *,
        grad_averaging: bool = False,
        **options: Unpack[Options],
    ) -> None:
        own = {"grad_averaging": grad_averaging}
        decay = decay_in_update(weight_decay)
        super().__init__(params, own, lr, betas, eps, weight_decay=decay, **options)

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
