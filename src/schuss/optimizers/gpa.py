r"""GPA: AdamW whose weights are averaged while it trains.

Defazio et al., *Smoothing DiLoCo with Primal Averaging for Faster Training of LLMs*, 2025,
Algorithm 1, with AdamW.
<https://arxiv.org/abs/2512.17131>

$$
\begin{aligned}
d_t &= \hat m_t / \bigl(\sqrt{\hat v_t} + \epsilon\bigr) \\
z_{t+1} &= (1 - \gamma_t \lambda)\, z_t - \gamma_t d_t \\
x_{t+1} &= \mu_x x_t + (1 - \mu_x)\, z_{t+1} \\
y_{t+1} &= \mu_y x_{t+1} + (1 - \mu_y)\, z_{t+1}
\end{aligned}
$$

Generalized primal averaging takes gradients between the last point $z$ and a running mean $x$ of
them, with which the model is evaluated. Nesterov's momentum is the case of one $\mu$ for both. With
two, $\mu_x$ says how far back the mean reaches, and $\mu_y$ how much of it the gradients see. GPA
does in every step what DiLoCo does now and then.

Decay is that of the authors' `GPAAdamW`, <https://github.com/facebookresearch/optimizers>: it
shrinks $z$ in place. As $y$ is the other sequence that is kept, $x = (y - (1 - \mu_y)\, z) / \mu_y$
grows by that. With `decay_on_y`, $y$ shrinks, and $x$ with it. Their learning rate is 1 unless
told otherwise, for a schedule to multiply; here it is AdamW's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from schuss.averaging import PrimalAveraging
from schuss.contract import Group, State
from schuss.declarations import decay, flag, hyper, moment_rates, rate, stabilizer
from schuss.domains import POSITIVE_SHARE, SHARE
from schuss.transforms.weight_decay import Decay


class GPA(PrimalAveraging):
    """GPA with AdamW. Keeps three buffers per parameter."""

    lr: float | Tensor = rate(default=1e-3)
    betas: tuple[float | Tensor, float | Tensor] = moment_rates(default=(0.9, 0.999))
    eps: float = stabilizer("added to the root of the second moment", default=1e-8)
    weight_decay: Decay = decay("decoupled", default=0.0)
    train_interp_coeff: float = hyper(
        "μ_y",
        "share of the mean in the point where gradients are taken",
        POSITIVE_SHARE,
        default=0.7,
        kw_only=True,
    )
    eval_interp_coeff: float = hyper(
        "μ_x", "decay rate of the mean", SHARE, default=0.9967, kw_only=True
    )
    decay_on_y: bool = flag(
        "let decoupled decay act on y, where gradients are taken, and not on z",
        default=False,
        kw_only=True,
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both moments at zero."""
        super().init_state(state, group, param)
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_avg_sq"] = torch.zeros_like(param)

    def direction(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the update of Adam."""
        (beta1, beta2), step = group["betas"], state["step"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.lerp_(grad, 1 - beta1)
        v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        m_hat: Tensor = m / (1 - beta1**step)
        v_hat = v / (1 - beta2**step)
        return m_hat / (v_hat.sqrt() + group["eps"])

    def decayed(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Let z decay, or y; what is added to the gradient is of y, where that was taken."""
        on_z = group["decoupled_weight_decay"] and not group["decay_on_y"]
        return self.weight_decay(state["z"] if on_z else param, grad, group)

    def share(self, state: State, group: Group, lr: float | Tensor) -> Any:
        """Return the share of the new point in the mean."""
        return 1 - group["eval_interp_coeff"]

    def interpolation(self, group: Group) -> float:
        """Return the share of the mean in the point where gradients are taken."""
        share: float = group["train_interp_coeff"]
        return share
