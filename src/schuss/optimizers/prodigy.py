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

$d$ is a lower bound of the distance to the solution, which is the right learning rate for Adam, and
which the gradients tell: as long as they point the way one came from, one has not arrived.
$\gamma$ stays at 1, or follows a schedule. Products and norms are over all parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.distance import DistanceAdaptive
from schuss.domains import (
    DECAY_RATE,
    FLAG,
    WRITTEN,
    Domains,
    above,
    at_least,
    decay_rates,
    or_none,
)
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class Prodigy(DistanceAdaptive):
    """Prodigy. Keeps four buffers per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Factor γ of the estimate, at least 0.
        betas: Decay rates β₁ and β₂ of the first and the second moment, in [0, 1).
        beta3: Decay rate β₃ of the estimate, in [0, 1), or None for the root of β₂.
        eps: Stabilizer ε, at least 0, multiplied by the estimate.
        weight_decay: Coefficient λ, at least 0, of decoupled decay, or a decay object.
        use_bias_correction: Multiply the rate by Adam's correction of the bias.
        safeguard_warmup: Leave the rate out of the sum of gradients, so that a warm-up does not
            make the estimate too large.
        d0: The estimate to begin with, above 0; rather too small.
        d_coef: Factor of the estimate, above 0.
        growth_rate: By how much the estimate may grow in a step, at least 1.
        **options: See `schuss.Options`.
    """

    domains = Domains(
        betas=decay_rates(2),
        beta3=or_none(DECAY_RATE),
        eps=at_least(0),
        use_bias_correction=FLAG,
        safeguard_warmup=FLAG,
        d_coef=above(0),
        d_max=WRITTEN,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        beta3: float | None = None,
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 0.0,
        *,
        use_bias_correction: bool = False,
        safeguard_warmup: bool = False,
        d0: float = 1e-6,
        d_coef: float = 1.0,
        growth_rate: float = float("inf"),
        **options: Unpack[Options],
    ) -> None:
        own = {
            "lr": lr,
            "betas": betas,
            "beta3": beta3,
            "eps": eps,
            "use_bias_correction": use_bias_correction,
            "safeguard_warmup": safeguard_warmup,
            "d_coef": d_coef,
            "d_max": d0,
        }
        decay = as_weight_decay(weight_decay, decoupled=True)
        super().__init__(params, own, d0, growth_rate, weight_decay=decay, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start all sums at zero, and remember where the parameter is."""
        state["step"] = 0
        state["s"] = torch.zeros_like(param)
        state["p0"] = param.detach().clone()
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_avg_sq"] = torch.zeros_like(param)

    def measure(self, state: State, group: Group, grad: Tensor, param: Tensor) -> dict[str, Tensor]:
        """Return the way back along the gradient, and the size of the sum of gradients."""
        grad = self.penalized(grad, param, group)
        now = {**group, "d": group["next_d"], "rate": self.rate(group)}
        s = state["s"] * self.beta3(group) + grad * self.share(now)
        return {"way": (grad * (state["p0"] - param)).sum(), "size": s.abs().sum()}

    def estimate(self, group: Group, sums: Mapping[str, float]) -> dict[str, float]:
        """Return the way over the size, if that is more than before."""
        d, d_max = group["d"], group["d_max"]
        way = d / group["d0"] * group["rate"] * sums["way"]
        numerator = group["numerator"] * self.beta3(group) + way
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
        state["s"].mul_(self.beta3(group)).add_(grad, alpha=self.share(group))
        return m / (v.sqrt() + group["next_d"] * group["eps"])

    def rate(self, group: Group) -> float:
        """Return the learning rate of the step that begins."""
        rate = super().rate(group)
        if group["use_bias_correction"]:
            beta1, beta2 = group["betas"]
            rate *= (1 - beta2 ** (group["k"] + 1)) ** 0.5 / (1 - beta1 ** (group["k"] + 1))
        return rate

    def beta3(self, group: Group) -> float:
        """Return the decay rate of the estimate."""
        beta3: float | None = group["beta3"]
        root: float = group["betas"][1] ** 0.5
        return root if beta3 is None else beta3

    def share(self, group: Group) -> float:
        """Return what the gradient is multiplied by in the sum of gradients."""
        d: float = group["d"]
        return d / group["d0"] * (d if group["safeguard_warmup"] else group["rate"])
