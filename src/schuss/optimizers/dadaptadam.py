r"""D-Adapt Adam: Adam that finds its own learning rate.

Defazio and Mishchenko, *Learning-Rate-Free Learning by D-Adaptation*, 2023, Algorithm 5.
<https://arxiv.org/abs/2301.07733>

$$
\begin{aligned}
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, \gamma d_t\, g_t \\
v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
r_t &= \rho\, r_{t-1} + (1 - \rho)\, \gamma d_t\, \bigl\langle g_t,\; s_{t-1} / (\sqrt{v_{t-1}} +
    \epsilon) \bigr\rangle, \qquad \rho = \sqrt{\beta_2} \\
s_t &= \rho\, s_{t-1} + (1 - \rho)\, \gamma d_t\, g_t \\
d_{t+1} &= \max\bigl(d_t,\; r_t / ((1 - \rho) \lVert s_t \rVert_1)\bigr) \\
\theta_t &= \theta_{t-1} - m_t / \bigl(\sqrt{v_t} + \epsilon\bigr)
\end{aligned}
$$

The number $d_t$, `d` in the groups, is a lower bound of the distance from the first weights to the
solution, and is used as the learning rate. `Prodigy` finds the distance faster. Products and norms
are over all parameters. The product is with the second moment before the step, as in the authors'
package.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, flag, hyper, moment_rates, rate, stabilizer
from schuss.distance import DistanceAdaptive
from schuss.domains import above
from schuss.transforms.weight_decay import Decay


class DAdaptAdam(DistanceAdaptive):
    """D-Adapt Adam. Keeps three buffers per parameter."""

    lr: float = rate("factor of the estimate", default=1.0)
    betas: tuple[float, float] = moment_rates(default=(0.9, 0.999))
    eps: float = stabilizer("added to the root of the second moment", default=1e-8)
    weight_decay: Decay = decay(default=0.0)
    decoupled_weight_decay: bool = flag(
        "let a mere coefficient λ decay the weight itself", default=False, kw_only=True
    )
    use_bias_correction: bool = flag(
        "multiply the rate by Adam's correction of the bias", default=False, kw_only=True
    )
    layer_scale: float = hyper(
        "", "factor of the rate of a group", above(0), default=1.0, kw_only=True
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start all sums at zero."""
        state["step"] = 0
        state["s"] = torch.zeros_like(param)
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_avg_sq"] = torch.zeros_like(param)

    def measure(self, state: State, group: Group, grad: Tensor, param: Tensor) -> dict[str, Tensor]:
        """Return the parts of one parameter in the product and in the norm of the estimate."""
        grad = self.penalized(grad, param, group)
        rho, rate, scale = group["betas"][1] ** 0.5, self.rate(group), group["layer_scale"]
        back = state["s"] / (state["exp_avg_sq"].sqrt() + group["eps"])
        s = state["s"] * rho + grad * (rate * (1 - rho))
        return {"way": (grad * back).sum() * (scale * rate), "size": s.abs().sum() * scale}

    def estimate(self, group: Group, sums: Mapping[str, float]) -> dict[str, float]:
        """Return $d_{t+1}$: the product over the norm, if that is more than before."""
        rho, d = group["betas"][1] ** 0.5, group["d"]
        numerator = rho * group["numerator"] + (1 - rho) * sums["way"]
        if sums["size"] == 0:
            return {}
        d_hat = numerator / ((1 - rho) * sums["size"])
        return {"next_d": max(d, min(d_hat, d * group["growth_rate"])), "numerator": numerator}

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the first moment over the root of the second, and over the rate within it."""
        beta1, beta2 = group["betas"]
        rho, rate = beta2**0.5, group["rate"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        if not group["lr"]:
            return torch.zeros_like(param)
        m.mul_(beta1).add_(grad, alpha=group["layer_scale"] * rate * (1 - beta1))
        v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        state["s"].mul_(rho).add_(grad, alpha=rate * (1 - rho))
        return m / ((v.sqrt() + group["eps"]) * rate)

    def rate(self, group: Group) -> float:
        """Return the learning rate of the step that begins, with its bias corrected if asked."""
        rate = super().rate(group)
        if group["use_bias_correction"]:
            beta1, beta2 = group["betas"]
            rate *= (1 - beta2 ** (group["k"] + 1)) ** 0.5 / (1 - beta1 ** (group["k"] + 1))
        return rate
