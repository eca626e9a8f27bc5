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

The number $d_t$, `d` in the groups, is an estimate of the distance from the first weights to the
solution, and is used as the learning rate. Products and norms are over all parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate
from schuss.distance import DistanceAdaptive
from schuss.domains import decay_rates
from schuss.transforms.weight_decay import Decay


class DAdaptLion(DistanceAdaptive):
    """D-Adapt Lion. Keeps two buffers per parameter."""

    lr: float = rate("factor of the estimate", default=1.0)
    betas: tuple[float, float] = hyper(
        "β₁, β₂",
        "shares β₁ of the buffer in the direction and β₂ in itself",
        decay_rates(2),
        default=(0.9, 0.99),
    )
    weight_decay: Decay = decay("decoupled", default=0.0)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both sums at zero."""
        state["s"] = torch.zeros_like(param)
        state["exp_avg"] = torch.zeros_like(param)

    def measure(self, state: State, group: Group, grad: Tensor, param: Tensor) -> dict[str, Tensor]:
        """Return the parts of one parameter in the product and in the norm of the estimate."""
        u = self.sign(state, group, self.penalized(grad, param, group))
        rho, rate = group["betas"][1] ** 0.5, self.rate(group)
        s = state["s"] * rho + u * (rate * (1 - rho))
        return {"way": (u * state["s"]).sum() * rate, "size": s.abs().sum()}

    def estimate(self, group: Group, sums: Mapping[str, float]) -> dict[str, float]:
        """Return $d_{t+1}$: the product over the norm, if that is more than before."""
        rho, d = group["betas"][1] ** 0.5, group["d"]
        numerator = rho * group["numerator"] + (1 - rho) * sums["way"]
        if sums["size"] == 0:
            return {}
        d_hat = numerator / ((1 - rho) * sums["size"])
        return {"next_d": max(d, min(d_hat, d * group["growth_rate"])), "numerator": numerator}

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the sign of a mixture in which the gradient counts for more than in the buffer."""
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
