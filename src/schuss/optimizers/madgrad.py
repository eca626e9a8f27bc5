r"""MADGRAD: dual averaging with momentum, under a cube root.

Defazio and Jelassi, *Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged
Gradient Method for Stochastic Optimization*, 2021, Algorithm 1.
<https://arxiv.org/abs/2101.11075>

$$
\begin{aligned}
\lambda_t &= (\gamma + \epsilon) \sqrt{t} \\
s_t &= s_{t-1} + \lambda_t\, g_t, \qquad v_t = v_{t-1} + \lambda_t\, g_t^2 \\
z_t &= \theta_0 - s_t / (\sqrt[3]{v_t} + \epsilon) \\
\theta_t &= \mu\, \theta_{t-1} + (1 - \mu)\, z_t
\end{aligned}
$$

Every point is computed from the start and the sum of all gradients, as in Adagrad with dual
averaging; the momentum is a mean of these points. It adapts as Adam does and generalizes as SGD
does, and needs less decay than either. A learning rate of zero stays zero. Decoupled decay comes on
top, $\theta_t = \mu\, \theta_{t-1} + (1 - \mu)\, z_t - \gamma \lambda\, \theta_{t-1}$, and without
momentum, where $\theta_{t-1}$ is forgotten, $\theta_0$ decays too. The authors' code does both.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate, stabilizer
from schuss.domains import SHARE
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay


class MADGRAD(Optimizer):
    """MADGRAD. Keeps three buffers per parameter.

    It writes its own step, because the next point does not follow from an update: transforms of
    the update do not apply.
    """

    lr: float | Tensor = rate(default=1e-2)
    momentum: float = hyper("μ", "share of the mean that stays", SHARE, default=0.9)
    weight_decay: Decay = decay(default=0.0)
    eps: float = stabilizer("added to the cube root and to the learning rate", default=1e-6)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both sums at zero, and remember where the parameter is."""
        state["step"] = 0
        state["grad_sum_sq"] = torch.zeros_like(param)
        state["s"] = torch.zeros_like(param)
        state["x0"] = param.detach().clone()

    def step_param(self, state: State, group: Group, grad: Tensor, param: Tensor) -> None:
        """Add the gradient to both sums, and move to the mean of the points computed from them."""
        state["step"] += 1
        before = param.clone()
        grad = self.weight_decay(param, grad, group)
        lr, eps = self.get_lr(state, group), group["eps"]
        weight = (lr + eps * (lr != 0)) * state["step"] ** 0.5
        s, v = state["s"], state["grad_sum_sq"]
        s.add_(grad * weight)
        v.add_(grad * grad * weight)
        if group["momentum"] == 0:
            state["x0"].add_(param - before)
        root = v.pow(1 / 3) + eps
        # Nothing over nothing is nothing.
        z = state["x0"] - torch.where(root > 0, s / root, 0.0)
        if group["momentum"] == 0:
            param.copy_(z)
        else:
            param.add_(z - before, alpha=1 - group["momentum"])
