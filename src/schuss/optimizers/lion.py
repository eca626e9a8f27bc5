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

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.domains import Domains, decay_rates
from schuss.optimizer import Optimizer
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class Lion(Optimizer):
    """Lion. Keeps one buffer per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0; the change of every weight in one step.
        betas: Shares β₁ of the buffer in the direction and β₂ in itself, in [0, 1).
        weight_decay: Coefficient λ, at least 0, of decoupled decay, or a decay object.
        **options: See `schuss.Options`.
    """

    domains = Domains(betas=decay_rates(2))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-4,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.99),
        weight_decay: float | WeightDecay = 0.0,
        **options: Unpack[Options],
    ) -> None:
        decay = as_weight_decay(weight_decay, decoupled=True)
        super().__init__(params, {"lr": lr, "betas": betas}, weight_decay=decay, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean at zero."""
        state["exp_avg"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the sign of the mean that the gradient weighs more in."""
        beta1, beta2 = group["betas"]
        m = state["exp_avg"]
        u = m.lerp(grad, 1 - beta1).sign()
        m.lerp_(grad, 1 - beta2)
        return u
