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

For the idea see `AdamP`. The decay does not go through the buffer, and is as strong as if it did.
Without Nesterov's momentum the authors' code projects the buffer itself, and so what later steps
are made of; their algorithm does not, nor does this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.domains import DECAY_RATE, FLAG, NUMBER, Domains, at_least
from schuss.optimizer import Optimizer
from schuss.optimizers.adamp import with_projection
from schuss.transforms.weight_decay import WeightDecay, decay_in_update

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class SGDP(Optimizer):
    """SGDP. Keeps one buffer per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0.
        momentum: Decay rate μ of the buffer, in [0, 1).
        dampening: Share τ of the gradient that does not enter the buffer.
        weight_decay: Coefficient λ, at least 0, of decay of the weights themselves, or a decay
            object, which does as it does in other optimizers.
        nesterov: Look ahead along the buffer.
        eps: Stabilizer ε, at least 0, added to norms.
        delta: Threshold δ of the cosine, at least 0; with 0 nothing is projected.
        wd_ratio: Share ρ of the decay for scale-invariant weights, at least 0.
        **options: See `schuss.Options`.
    """

    domains = Domains(
        momentum=DECAY_RATE,
        dampening=NUMBER,
        nesterov=FLAG,
        eps=at_least(0),
        delta=at_least(0),
        wd_ratio=at_least(0),
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float | WeightDecay = 0.0,
        nesterov: bool = False,
        eps: float = 1e-8,
        delta: float = 0.1,
        wd_ratio: float = 0.1,
        **options: Unpack[Options],
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "nesterov": nesterov,
            "eps": eps,
            "delta": delta,
            "wd_ratio": wd_ratio,
        }
        decay = decay_in_update(weight_decay)
        super().__init__(params, defaults, weight_decay=decay, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the buffer at zero."""
        state["momentum"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the buffer, projected if the weights are scale-invariant."""
        momentum = group["momentum"]
        b = state["momentum"].mul_(momentum).add_(grad, alpha=1 - group["dampening"])
        u = grad.add(b, alpha=momentum) if group["nesterov"] else b
        return with_projection(self.weight_decay, group, u, grad, param, more=1 / (1 - momentum))
