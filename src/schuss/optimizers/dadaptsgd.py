r"""D-Adapt SGD: gradient descent that finds its own learning rate.

Defazio and Mishchenko, *Learning-Rate-Free Learning by D-Adaptation*, 2023, Algorithm 4.
<https://arxiv.org/abs/2301.07733>

$$
\begin{aligned}
\lambda_t &= \gamma d_t / \lVert g_1 \rVert_2 \\
r_t &= r_{t-1} + \lambda_t \langle g_t, s_{t-1} \rangle, \qquad s_t = s_{t-1} + \lambda_t g_t \\
d_{t+1} &= \max\bigl(d_t,\; 2 r_t / \lVert s_t \rVert_2\bigr) \\
z_t &= \theta_0 - s_t \\
\theta_t &= \mu\, \theta_{t-1} + (1 - \mu)\, z_t
\end{aligned}
$$

The number $d_t$, `d` in the groups, is a lower bound of the distance from the first weights to the
solution. Momentum $\mu$ makes the weights a running mean of the points $z_t$ that gradient descent
visits. Products and norms are over all parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate
from schuss.distance import DistanceAdaptive
from schuss.domains import SHARE, WRITTEN, Domains
from schuss.transforms.weight_decay import Decay


class DAdaptSGD(DistanceAdaptive):
    """D-Adapt SGD. Keeps two buffers per parameter."""

    lr: float = rate("factor of the estimate", default=1.0)
    momentum: float = hyper("μ", "share of the mean that stays", SHARE, default=0.0)
    weight_decay: Decay = decay(default=0.0)

    domains = Domains(g0_norm=WRITTEN)

    def group_values(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values with the norm of the first gradient, which is yet to come."""
        return {**super().group_values(values), "g0_norm": 0.0}

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the sum at zero, and remember where the parameter is."""
        state["s"] = torch.zeros_like(param)
        state["x0"] = param.detach().clone()

    def measure(self, state: State, group: Group, grad: Tensor, param: Tensor) -> dict[str, Tensor]:
        """Return the parts of the square of the sum of gradients."""
        grad, s = self.penalized(grad, param, group), state["s"]
        return {"gg": grad.square().sum(), "gs": (grad * s).sum(), "ss": s.square().sum()}

    def estimate(self, group: Group, sums: Mapping[str, float]) -> dict[str, float]:
        """Return $d_{t+1}$: the product over the norm, if that is more than before."""
        d, norm = group["d"], group["g0_norm"] or sums["gg"] ** 0.5
        if norm == 0:
            return {"rate": 0.0}
        rate = group["lr"] * d / norm
        numerator = group["numerator"] + rate * sums["gs"]
        square = sums["ss"] + 2 * rate * sums["gs"] + rate**2 * sums["gg"]
        d_hat = 2 * numerator / square**0.5 if square > 0 else d
        next_d = max(d, min(d_hat, d * group["growth_rate"]))
        return {"next_d": next_d, "numerator": numerator, "g0_norm": norm, "rate": rate}

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the step from the weights to the new mean, over the rate it is multiplied by."""
        rate = group["rate"]
        if not (rate and group["lr"]):
            return torch.zeros_like(param)
        state["s"].add_(grad, alpha=rate)
        return (param - state["x0"] + state["s"]) * ((1 - group["momentum"]) / rate)
