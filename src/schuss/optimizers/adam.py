r"""Adam: adaptive moment estimation.

Kingma and Ba, *Adam: A Method for Stochastic Optimization*, 2014, Algorithm 1.
<https://arxiv.org/abs/1412.6980>

$$
\begin{aligned}
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
\hat m_t &= m_t / (1 - \beta_1^t) \\
\hat v_t &= v_t / (1 - \beta_2^t) \\
u_t &= \hat m_t / \bigl(\sqrt{\hat v_t} + \epsilon\bigr)
\end{aligned}
$$

The update does not depend on the scale of the gradient, and no coordinate moves by much more than
$\gamma$ a step.

Section 2 of the paper reorders this to save two divisions, for which it adds the stabilizer before
the correction of the bias: $u_t = \tfrac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}\, m_t / (\sqrt{v_t} +
\hat\epsilon)$, the same with $\hat\epsilon = \epsilon \sqrt{1 - \beta_2^t}$. The option
`optimized_update` takes this order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.contract import Group, State, buffer
from schuss.declarations import decay, flag, hyper, moment_rates, rate, stabilizer
from schuss.domains import FLAG, or_none
from schuss.transforms.weight_decay import Decay


class Adam(GenericAdaptiveOptimizer):
    """Adam. Keeps two buffers per parameter, three with `amsgrad`."""

    lr: float | Tensor = rate("about the largest change of a weight in one step", default=1e-3)
    betas: tuple[float | Tensor, float | Tensor] = moment_rates(default=(0.9, 0.999))
    eps: float = stabilizer("added to the root of the second moment", default=1e-8)
    weight_decay: Decay = decay(default=0.0)
    amsgrad: bool = flag("divide by the largest second moment so far; see `AMSGrad`", default=False)
    decoupled_weight_decay: bool = flag(
        "let a mere coefficient λ decay the weight itself, as `AdamW`",
        default=False,
        kw_only=True,
    )
    optimized_update: bool | None = hyper(
        "", "add ε before the correction of the bias", or_none(FLAG), default=False, kw_only=True
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both moments at zero."""
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_avg_sq"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the first moment over the root of the second."""
        m, v = self.moments(state, group, grad)
        return self.direction(state, group, m, v)

    def moments(self, state: State, group: Group, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Take the gradient into both moments, and return them."""
        beta1, beta2 = group["betas"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.lerp_(grad, 1 - beta1)
        v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        return m, self.running_max(state, "max_exp_avg_sq", v) if group["amsgrad"] else v

    def running_max(self, state: State, key: str, v: Tensor) -> Tensor:
        """Return the largest value of each coordinate of `v` so far."""
        v_max: Tensor = torch.maximum(buffer(state, key, v), v)
        state[key] = v_max
        return v_max

    def direction(self, state: State, group: Group, m: Tensor, v: Tensor) -> Tensor:
        """Return the update, with the bias of both moments corrected."""
        beta1, beta2 = group["betas"]
        bias_correction1 = 1 - beta1 ** state["step"]
        bias_correction2 = 1 - beta2 ** state["step"]
        if group["optimized_update"]:
            return m / (v.sqrt() + group["eps"]) * (bias_correction2**0.5 / bias_correction1)
        m_hat = m / bias_correction1
        v_hat = v / bias_correction2
        return m_hat / (v_hat.sqrt() + group["eps"])
