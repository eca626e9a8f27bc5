r"""Adadelta: steps as long as the last ones, in the units of the weights.

Zeiler, *ADADELTA: An Adaptive Learning Rate Method*, 2012, Algorithm 1.
<https://arxiv.org/abs/1212.5701>

$$
\begin{aligned}
v_t &= \rho\, v_{t-1} + (1 - \rho)\, g_t^2 \\
u_t &= \frac{\sqrt{a_{t-1} + \epsilon}}{\sqrt{v_t + \epsilon}}\, g_t \\
a_t &= \rho\, a_{t-1} + (1 - \rho)\, u_t^2
\end{aligned}
$$

A step has the units of the weights, because its length is that of the mean of the steps before.
The paper has no learning rate, which is the same as $\gamma = 1$. The first steps have the length
$\sqrt\epsilon$, so that the stabilizer `eps` decides how fast the training starts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate, stabilizer
from schuss.domains import SHARE
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay


class Adadelta(Optimizer):
    """Adadelta. Keeps two buffers per parameter."""

    lr: float | Tensor = rate("factor of every step; the paper's is 1", default=1.0)
    rho: float = hyper("ρ", "decay rate of both means of squares", SHARE, default=0.9)
    eps: float = stabilizer("below both roots", default=1e-6)
    weight_decay: Decay = decay(default=0.0)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both means at zero."""
        state["step"] = 0  # for checkpoints that go to torch.optim
        state["square_avg"] = torch.zeros_like(param)
        state["acc_delta"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient, as long as the last steps were."""
        rho, eps = group["rho"], group["eps"]
        v, a = state["square_avg"], state["acc_delta"]
        v.mul_(rho).addcmul_(grad, grad, value=1 - rho)
        u = (a + eps).sqrt() / (v + eps).sqrt() * grad
        a.mul_(rho).addcmul_(u, u, value=1 - rho)
        return u
