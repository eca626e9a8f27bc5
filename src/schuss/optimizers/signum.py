r"""Signum: the sign of the momentum.

Bernstein et al., *signSGD: Compressed Optimisation for Non-Convex Problems*, 2018, Algorithm 2.
<https://arxiv.org/abs/1802.04434>

$$
\begin{aligned}
m_t &= \beta\, m_{t-1} + (1 - \beta)\, g_t \\
u_t &= \operatorname{sign}(m_t)
\end{aligned}
$$

Every weight moves by exactly $\gamma$, however large its gradient is, so that a good learning rate
is much smaller than SGD's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.domains import DECAY_RATE, Domains
from schuss.optimizer import Optimizer
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class Signum(Optimizer):
    """The sign of the momentum. Keeps one buffer per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0.
        momentum: Decay rate β of the gradient's mean, in [0, 1); 0 is signSGD.
        weight_decay: Coefficient λ, at least 0, of decoupled decay, or a decay object.
        **options: See `schuss.Options`.
    """

    domains = Domains(momentum=DECAY_RATE)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-4,
        momentum: float = 0.9,
        weight_decay: float | WeightDecay = 0.0,
        **options: Unpack[Options],
    ) -> None:
        decay = as_weight_decay(weight_decay, decoupled=True)
        super().__init__(params, {"lr": lr, "momentum": momentum}, weight_decay=decay, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the mean at zero."""
        state["exp_avg"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the sign of the gradient's mean."""
        m = state["exp_avg"]
        return m.lerp_(grad, 1 - group["momentum"]).sign()
