r"""D-Adapt Lion: Lion that finds its own learning rate.

Defazio and Mishchenko, *Learning-Rate-Free Learning by D-Adaptation*, 2023, applied to Lion in the
authors' package.
<https://arxiv.org/abs/2301.07733>

$$
\begin{aligned}
u_t &= \operatorname{sign}\bigl(\beta_1 m_{t-1} + (1 - \beta_1)\, g_t\bigr) \\
m_t &= \beta_2 m_{t-1} + (1 - \beta_2)\, \gamma d_t\, g_t \\
r_t &= \rho\, r_{t-1} + (1 - \rho)\, \gamma d_t\, \langle u_t, s_{t-1} \rangle, \qquad
    \rho = \sqrt{\beta_2} \\
s_t &= \rho\, s_{t-1} + (1 - \rho)\, \gamma d_t\, u_t \\
d_{t+1} &= \max\bigl(d_t,\; r_t / ((1 - \rho) \lVert s_t \rVert_1)\bigr) \\
\theta_t &= \theta_{t-1} - \gamma d_t\, u_t
\end{aligned}
$$

Products and norms are over all parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.distance import DistanceAdaptive
from schuss.domains import Domains, decay_rates
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class DAdaptLion(DistanceAdaptive):
    """D-Adapt Lion. Keeps two buffers per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Factor γ of the estimate, at least 0.
        betas: Shares β₁ of the buffer in the direction and β₂ in itself, in [0, 1).
        weight_decay: Coefficient λ, at least 0, of decoupled decay, or a decay object.
        d0: The estimate to begin with, above 0; rather too small.
        growth_rate: By how much the estimate may grow in a step, at least 1.
        **options: See `schuss.Options`.
    """

    domains = Domains(betas=decay_rates(2))

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float | WeightDecay = 0.0,
        *,
        d0: float = 1e-6,
        growth_rate: float = float("inf"),
        **options: Unpack[Options],
    ) -> None:
        own = {"lr": lr, "betas": betas}
        decay = as_weight_decay(weight_decay, decoupled=True)
        super().__init__(params, own, d0, growth_rate, weight_decay=decay, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both sums at zero."""
        state["s"] = torch.zeros_like(param)
        state["exp_avg"] = torch.zeros_like(param)

    def measure(self, state: State, group: Group, grad: Tensor, param: Tensor) -> dict[str, Tensor]:
        """Return the way back along the update, and the size of the sum of updates."""
        u = self.sign(state, group, self.penalized(grad, param, group))
        rho, rate = group["betas"][1] ** 0.5, self.rate(group)
        s = state["s"] * rho + u * (rate * (1 - rho))
        return {"way": (u * state["s"]).sum() * rate, "size": s.abs().sum()}

    def estimate(self, group: Group, sums: Mapping[str, float]) -> dict[str, float]:
        """Return the way over the size, if that is more than before."""
        rho, d = group["betas"][1] ** 0.5, group["d"]
        numerator = rho * group["numerator"] + (1 - rho) * sums["way"]
        if sums["size"] == 0:
            return {}
        d_hat = numerator / ((1 - rho) * sums["size"])
        return {"next_d": max(d, min(d_hat, d * group["growth_rate"])), "numerator": numerator}

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the sign of the mean that the gradient weighs more in."""
        beta2, rate = group["betas"][1], group["rate"]
        u = self.sign(state, group, grad)
        state["exp_avg"].mul_(beta2).add_(grad, alpha=(1 - beta2) * rate)
        state["s"].mul_(beta2**0.5).add_(u, alpha=(1 - beta2**0.5) * rate)
        return u

    def sign(self, state: State, group: Group, grad: Tensor) -> Tensor:
        """Return the direction of Lion."""
        beta1 = group["betas"][0]
        sign: Tensor = (state["exp_avg"] * beta1 + grad * (1 - beta1)).sign()
        return sign
