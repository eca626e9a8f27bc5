r"""CAME: Adafactor that trusts an update as far as it agrees with those before.

Luo et al., *CAME: Confidence-guided Adaptive Memory Efficient Optimization*, 2023, Algorithm 2.
<https://arxiv.org/abs/2307.02047>

$$
\begin{aligned}
V_t &= \operatorname{factored}_{\beta_2}(g_t^2 + \epsilon_1) \\
\hat u_t &= g_t / \sqrt{V_t}, \qquad
    \bar u_t = \hat u_t / \max\bigl(1, \operatorname{RMS}(\hat u_t) / d\bigr) \\
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, \bar u_t \\
S_t &= \operatorname{factored}_{\beta_3}\bigl((\bar u_t - m_t)^2 + \epsilon_2\bigr) \\
u_t &= m_t / \sqrt{S_t}
\end{aligned}
$$

Here $\operatorname{factored}_\beta$ is a mean that keeps a column and a row of a matrix, as
`Adafactor` does. Where updates are far from their mean $m_t$, the instability $S_t$ is large and
the step short. Vectors and scalars keep their second moment whole, and move by $m_t$.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate
from schuss.domains import above, at_least, decay_rates, tuple_of
from schuss.factored import Keys, averaged, begin_moment, check_real, clipped, moment, over_root
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay

VARIANCE = Keys("exp_avg_sq_row", "exp_avg_sq_col", "exp_avg_sq")
INSTABILITY = Keys("exp_avg_res_row", "exp_avg_res_col", "exp_avg_res")


class CAME(Optimizer):
    """CAME. Keeps two buffers per parameter; one, two rows and two columns of matrices."""

    lr: float | Tensor = rate(default=2e-4)
    betas: tuple[float, float, float] = hyper(
        "β₁, β₂, β₃",
        "decay rates β₁, β₂ and β₃ of the mean of updates, of the second moment, and of "
        "the instability",
        decay_rates(3),
        default=(0.9, 0.999, 0.9999),
    )
    eps: tuple[float, float] = hyper(
        "ε₁, ε₂",
        "stabilizers, added to the squares of the gradient and to those of the deviation",
        tuple_of(at_least(0), at_least(0)),
        default=(1e-30, 1e-16),
    )
    clip_threshold: float = hyper(
        "",
        "the largest root of the mean square d of an update",
        above(0, unbounded=True),
        default=1.0,
    )
    weight_decay: Decay = decay("decoupled", default=0.0)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start all means at zero."""
        check_real(param)
        state["exp_avg"] = torch.zeros_like(param)
        begin_moment(state, VARIANCE, param)
        if VARIANCE.row in state:
            begin_moment(state, INSTABILITY, param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the mean of updates over the root of their instability."""
        beta1, beta2, beta3 = group["betas"]
        eps1, eps2 = group["eps"]
        u = over_root(grad, moment(state, VARIANCE, grad.square() + eps1, 1 - beta2))
        u = clipped(u, group["clip_threshold"])
        m = averaged(state["exp_avg"], u, 1 - beta1)
        if VARIANCE.whole in state:
            return m
        deviation = (u - m).square() + eps2
        return over_root(m, moment(state, INSTABILITY, deviation, 1 - beta3))
