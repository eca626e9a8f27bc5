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

The largest gradient fades by $\beta_2$ a step, and needs no correction of a bias: the first
gradient replaces the zero that it starts from. The stabilizer is that of `torch.optim`; the paper
has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.contract import Group, State
from schuss.domains import Domains, decay_rates
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class Adamax(GenericAdaptiveOptimizer):
    """Adamax. Keeps two buffers per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0; about the largest change of a weight in one step.
        betas: Decay rates β₁ of the mean and β₂ of the largest gradient, in [0, 1).
        eps: Stabilizer ε, at least 0, added to the size of the gradient.
        weight_decay: Coefficient λ, at least 0, of an L2 penalty, or a decay object.
        **options: See `schuss.Options`.
    """

    domains = Domains(betas=decay_rates(2))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 0.0,
        **options: Unpack[Options],
    ) -> None:
        decay = as_weight_decay(weight_decay, decoupled=False)
        super().__init__(params, {}, lr, betas, eps, weight_decay=decay, **options)

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
