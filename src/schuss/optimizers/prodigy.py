r"""Prodigy: Adam that finds its own learning rate.

Mishchenko and Defazio, *Prodigy: An Expeditiously Adaptive Parameter-Free Learner*, 2023,
Algorithm 4.
<https://arxiv.org/abs/2306.06101>

$$
\begin{aligned}
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, d_t\, g_t \\
v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, d_t^2\, g_t^2 \\
r_t &= \beta_3 r_{t-1} + \tfrac{d_t}{d_0}\, \gamma d_t \langle g_t, \theta_0 - \theta_{t-1} \rangle,
    \qquad
s_t = \beta_3 s_{t-1} + \tfrac{d_t}{d_0}\, \gamma d_t\, g_t, \qquad \beta_3 = \sqrt{\beta_2} \\
d_{t+1} &= \max\bigl(d_t,\; r_t / \lVert s_t \rVert_1\bigr) \\
\theta_t &= \theta_{t-1} - \gamma d_t\, m_t / \bigl(\sqrt{v_t} + d_{t+1} \epsilon\bigr)
\end{aligned}
$$

The number $d_t$, `d` in the groups, is a lower bound of the distance from the first weights to the
solution, which is the right learning rate for Adam. The gradients tell of the distance: as long as
a step along them still leads away from the first weights $\theta_0$, the solution is further off.
The learning rate $\gamma$ stays at 1, or follows a schedule. Products and norms are over all
parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, flag, hyper, moment_rates, rate, stabilizer
from schuss.distance import DistanceAdaptive
from schuss.domains import (
    DECAY_RATE,
    WRITTEN,
    Domains,
    above,
    or_none,
)
from schuss.transforms.weight_decay import Decay


class Prodigy(DistanceAdaptive):
    """Prodigy. Keeps four buffers per parameter."""

    lr: float = rate("factor of the estimate", default=1.0)
    betas: tuple[float, float] = moment_rates(default=(0.9, 0.999))
    beta3: float | None = hyper(
        "β₃",
        "decay rate of the estimate, or None for the root of β₂",
        or_none(DECAY_RATE),
        default=None,
    )
    eps: float = stabilizer("multiplied by the estimate", default=1e-8)
    weight_decay: Decay = decay("decoupled", default=0.0)
    use_bias_correction: bool = flag(
        "multiply the rate by Adam's correction of the bias", default=False, kw_only=True
    )
    safeguard_warmup: bool = flag(
        "leave the rate out of the sum of gradients, so that a warm-up does not make "
        "the estimate too large",
        default=False,
        kw_only=True,
    )
    d_coef: float = hyper("", "factor of the estimate", above(0), default=1.0, kw_only=True)

    domains = Domains(d_max=WRITTEN)

    def group_values(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values with the largest estimate so far, which is the first."""
        return {**super().group_values(values), "d_max": values["d0"]}

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start all sums at zero, and remember where the parameter is."""
        state["step"] = 0
        state["s"] = torch.zeros_like(param)
        state["p0"] = param.detach().clone()
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_avg_sq"] = torch.zeros_like(param)

    def measure(self, state: State, group: Group, grad: Tensor, param: Tensor) -> dict[str, Tensor]:
        """Return the parts of one parameter in the product and in the norm of the estimate."""
        grad = self.penalized(grad, param, group)
        now = {**group, "d": group["next_d"], "rate": self.rate(group)}
        s = state["s"] * self.estimate_decay(group) + grad * self.share(now)
        return {"way": (grad * (state["p0"] - param)).sum(), "size": s.abs().sum()}

    def estimate(self, group: Group, sums: Mapping[str, float]) -> dict[str, float]:
        """Return $d_{t+1}$: the product over the norm, if that is more than before."""
        d, d_max = group["d"], group["d_max"]
        way = d / group["d0"] * group["rate"] * sums["way"]
        numerator = group["numerator"] * self.estimate_decay(group) + way
        if sums["size"] == 0:
            return {}
        d_hat = group["d_coef"] * numerator / sums["size"]
        if d == group["d0"]:
            d = max(d, d_hat)
        d_max = max(d_max, d_hat)
        next_d = min(d_max, d * group["growth_rate"])
        return {"next_d": next_d, "d_max": d_max, "numerator": numerator}

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the first moment over the root of the second."""
        beta1, beta2 = group["betas"]
        d = group["d"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.mul_(beta1).add_(grad, alpha=d * (1 - beta1))
        v.mul_(beta2).addcmul_(grad, grad, value=d * d * (1 - beta2))
        state["s"].mul_(self.estimate_decay(group)).add_(grad, alpha=self.share(group))
        return m / (v.sqrt() + group["next_d"] * group["eps"])

    def rate(self, group: Group) -> float:
        """Return the learning rate of the step that begins, with its bias corrected if asked."""
        rate = super().rate(group)
        if group["use_bias_correction"]:
            beta1, beta2 = group["betas"]
            rate *= (1 - beta2 ** (group["k"] + 1)) ** 0.5 / (1 - beta1 ** (group["k"] + 1))
        return rate

    def estimate_decay(self, group: Group) -> float:
        """Return β₃, the decay rate of the estimate: the root of β₂, unless it is given."""
        beta3: float | None = group["beta3"]
        root: float = group["betas"][1] ** 0.5
        return root if beta3 is None else beta3

    def share(self, group: Group) -> float:
        """Return the factor of the gradient in the sum $s_t$."""
        d: float = group["d"]
        return d / group["d0"] * (d if group["safeguard_warmup"] else group["rate"])
