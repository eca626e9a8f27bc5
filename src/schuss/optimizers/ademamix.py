r"""AdEMAMix: one mean for the present, one for the past.

Pagliardini, Ablin and Grangier, *The AdEMAMix Optimizer: Better, Faster, Older*, 2024, Algorithm 1.
<https://arxiv.org/abs/2409.03137>

$$
\begin{aligned}
m_{1,t} &= \beta_1 m_{1,t-1} + (1 - \beta_1)\, g_t \\
m_{2,t} &= \beta_{3,t}\, m_{2,t-1} + (1 - \beta_{3,t})\, g_t \\
v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
u_t &= (\hat m_{1,t} + \alpha_t\, m_{2,t}) / \bigl(\sqrt{\hat v_t} + \epsilon\bigr)
\end{aligned}
$$

Gradients stay relevant for tens of thousands of steps, but a single mean that remembers them is too
slow for the present. The slow mean has no correction of its bias, so that its part in the update
grows gradually. In the first $T$ steps $\alpha_t = \alpha\, t / T$, and $\beta_{3,t}$ rises from
$\beta_1$ so that its half-life grows linearly:

$$
\beta_{3,t} = \exp \frac{\ln \beta_1 \ln \beta_3}{(1 - t/T) \ln \beta_3 + t/T \ln \beta_1}
$$

The default of $\alpha$ is that of the paper's experiments; the authors' code has 2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.contract import Group, State, wide_dtype
from schuss.declarations import decay, hyper, rate, stabilizer
from schuss.domains import at_least, decay_rates, or_none
from schuss.transforms.weight_decay import Decay


class AdEMAMix(GenericAdaptiveOptimizer):
    """AdEMAMix. Keeps three buffers per parameter."""

    lr: float | Tensor = rate(default=1e-3)
    betas: tuple[float, float, float] = hyper(
        "β₁, β₂, β₃",
        "decay rates β₁ of the fast mean, β₂ of the second moment, β₃ of the slow mean; "
        "β₁ and β₃ above 0 if they are scheduled",
        decay_rates(3),
        default=(0.9, 0.999, 0.9999),
    )
    eps: float = stabilizer("added to the root of the second moment", default=1e-8)
    weight_decay: Decay = decay("decoupled", default=0.0)
    alpha: float = hyper("α", "factor of the slow mean", at_least(0), default=5.0, kw_only=True)
    t_alpha_beta3: float | None = hyper(
        "",
        "number of steps T in which α and β₃ rise, or None to begin with them",
        or_none(at_least(0)),
        default=None,
        kw_only=True,
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start all three means at zero."""
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_avg_slow"] = torch.zeros_like(param, dtype=wide_dtype(param))
        state["exp_avg_sq"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the mixture of both means over the root of the second moment."""
        beta1, beta2, _ = group["betas"]
        alpha, beta3 = self.slow(state, group)
        v = state["exp_avg_sq"]
        m1 = state["exp_avg"].lerp_(grad, 1 - beta1)
        m2 = state["exp_avg_slow"].lerp_(grad, 1 - beta3)
        v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        m1_hat: Tensor = m1 / (1 - beta1 ** state["step"])
        v_hat = v / (1 - beta2 ** state["step"])
        return (m1_hat + alpha * m2) / (v_hat.sqrt() + group["eps"])

    def slow(self, state: State, group: Group) -> tuple[float, float]:
        """Return α and β₃ of this step."""
        beta1, _, beta3 = group["betas"]
        steps = group["t_alpha_beta3"]
        if steps is None or state["step"] >= steps:
            return group["alpha"], beta3
        share = state["step"] / steps
        log1, log3 = math.log(beta1), math.log(beta3)
        return share * group["alpha"], math.exp(log1 * log3 / ((1 - share) * log3 + share * log1))

    def check_group(self, group: Group) -> None:
        """Check the hyper-parameters of one group."""
        super().check_group(group)
        scheduled = group["t_alpha_beta3"] is not None
        if scheduled and not (group["betas"][0] > 0 and group["betas"][2] > 0):
            raise ValueError(
                f"Invalid betas: {group['betas']!r}; with t_alpha_beta3 the first and the third "
                "must be above 0"
            )
