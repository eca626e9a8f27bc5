r"""SGDP: momentum without the growth of scale-invariant weights.

Heo et al., *AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights*,
2020, Algorithm 1.
<https://arxiv.org/abs/2006.08217>

$$
\begin{aligned}
b_t &= \mu\, b_{t-1} + (1 - \tau)\, g_t, \qquad b_0 = 0 \\
u_t &= b_t, \text{ or } g_t + \mu\, b_t \text{ for Nesterov} \\
q_t &= \begin{cases}
    \Pi_{\theta_{t-1}}(u_t) + \rho \tfrac{\lambda}{1 - \mu}\, \theta_{t-1}
        & \max \lvert\cos(\theta_{t-1}, g_t)\rvert < \delta / \sqrt{n} \\
    u_t + \tfrac{\lambda}{1 - \mu}\, \theta_{t-1} & \text{otherwise}
\end{cases}
\end{aligned}
$$

`AdamP` explains the idea. The decay does not go through the buffer, and is as strong as if it did.
Without Nesterov's momentum the authors' code projects the buffer itself, and so changes later
steps too; their algorithm does not, nor does this class.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, flag, hyper, rate, stabilizer
from schuss.domains import DECAY_RATE, NUMBER, at_least
from schuss.optimizer import Optimizer
from schuss.optimizers.adamp import with_projection
from schuss.transforms.weight_decay import Decay


class SGDP(Optimizer):
    """SGDP. Keeps one buffer per parameter."""

    lr: float | Tensor = rate(default=1e-3)
    momentum: float = hyper("μ", "decay rate of the buffer", DECAY_RATE, default=0.0)
    dampening: float = hyper(
        "τ", "share of the gradient that does not enter the buffer", NUMBER, default=0.0
    )
    weight_decay: Decay = decay("in update", default=0.0)
    nesterov: bool = flag("look ahead along the buffer", default=False)
    eps: float = stabilizer("added to norms", default=1e-8)
    delta: float = hyper(
        "δ", "threshold of the cosine; with 0 nothing is projected", at_least(0), default=0.1
    )
    wd_ratio: float = hyper(
        "ρ", "share of the decay for scale-invariant weights", at_least(0), default=0.1
    )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the buffer at zero."""
        state["momentum"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the buffer, projected if the weights are scale-invariant."""
        momentum = group["momentum"]
        b = state["momentum"].mul_(momentum).add_(grad, alpha=1 - group["dampening"])
        u = grad.add(b, alpha=momentum) if group["nesterov"] else b
        return with_projection(self.weight_decay, group, u, grad, param, more=1 / (1 - momentum))
