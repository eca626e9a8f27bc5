r"""Yogi: a second moment that changes slowly, up and down.

Zaheer et al., *Adaptive Methods for Nonconvex Optimization*, 2018, Algorithm 2.
<https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization>

$$
\begin{aligned}
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
v_t &= v_{t-1} - (1 - \beta_2) \operatorname{sign}(v_{t-1} - g_t^2)\, g_t^2 \\
u_t &= \hat m_t / \bigl(\sqrt{\hat v_t} + \epsilon\bigr)
\end{aligned}
$$

Adam's second moment falls in proportion to itself when gradients become small, and its steps grow
fast. Yogi's falls in proportion to the small gradients. The paper corrects no bias; every
implementation does, and so does this one by default.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, fixed, flag, hyper, rate, stabilizer
from schuss.domains import at_least
from schuss.optimizers.adam import Adam
from schuss.transforms.weight_decay import Decay


class Yogi(Adam):
    """Yogi. Keeps two buffers per parameter."""

    lr: float | Tensor = rate(default=1e-2)
    eps: float = stabilizer("added to the root of the second moment", default=1e-3)
    weight_decay: Decay = decay("decoupled", default=0.0)
    initial_accumulator: float = hyper(
        "", "the value that the second moment starts from", at_least(0), default=1e-6, kw_only=True
    )
    bias_correction: bool = flag(
        "correct the bias of both moments; False is the paper's algorithm",
        default=True,
        kw_only=True,
    )
    amsgrad: bool = fixed(default=False)
    decoupled_weight_decay: bool = fixed(default=True)
    optimized_update: bool | None = fixed(default=False)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the first moment at zero, the second just above."""
        super().init_state(state, group, param)
        start = group["initial_accumulator"]
        # Of a complex parameter, both parts.
        state["exp_avg_sq"] = torch.full_like(
            param, complex(start, start) if param.is_complex() else start
        )

    def moments(self, state: State, group: Group, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Take the gradient into both moments, and return them."""
        beta1, beta2 = group["betas"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.lerp_(grad, 1 - beta1)
        square = grad.square()
        v.addcmul_((v - square).sign(), square, value=-(1 - beta2))
        return m, v

    def direction(self, state: State, group: Group, m: Tensor, v: Tensor) -> Tensor:
        """Return the first moment over the root of the second."""
        if group["bias_correction"]:
            return super().direction(state, group, m, v)
        return m / (v.sqrt() + group["eps"])
