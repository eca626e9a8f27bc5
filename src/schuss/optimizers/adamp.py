r"""AdamP: Adam without the growth of scale-invariant weights.

Heo et al., *AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights*,
2020, Algorithm 2.
<https://arxiv.org/abs/2006.08217>

$$
\begin{aligned}
u_t &= \text{that of Adam} \\
q_t &= \begin{cases}
    \Pi_{\theta_{t-1}}(u_t) + \rho \lambda\, \theta_{t-1}
        & \max \lvert\cos(\theta_{t-1}, g_t)\rvert < \delta / \sqrt{n} \\
    u_t + \lambda\, \theta_{t-1} & \text{otherwise}
\end{cases}
\end{aligned}
$$

Where a normalization follows, the scale of weights does not matter, and their gradient is at a
right angle to them. Every step along the gradient makes the weights longer, momentum much more so,
and longer weights turn less. The projection $\Pi$ drops the part of the update along the weights.
The decay, which held their length back before, is made weaker by the factor $\rho$. Such weights
are recognized by the angle, channel by channel or as a whole; vectors and scalars are left to
Adam.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, fixed, flag, hyper, stabilizer
from schuss.domains import at_least
from schuss.optimizers.adam import Adam
from schuss.transforms.projection import projected
from schuss.transforms.weight_decay import Decay, InUpdate, WeightDecay


class AdamP(Adam):
    """AdamP. Keeps two buffers per parameter."""

    eps: float = stabilizer("added to the root of the second moment and to norms", default=1e-8)
    weight_decay: Decay = decay("in update", default=0.0)
    delta: float = hyper(
        "δ", "threshold of the cosine; with 0 it is AdamW", at_least(0), default=0.1
    )
    wd_ratio: float = hyper(
        "ρ", "share of the decay for scale-invariant weights", at_least(0), default=0.1
    )
    nesterov: bool = flag("take the gradient into the mean once more, as `NAdamW`", default=False)
    amsgrad: bool = fixed(default=False)
    decoupled_weight_decay: bool = fixed(default=False)
    optimized_update: bool | None = fixed(default=False)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the update of Adam, projected if the weights are scale-invariant."""
        m, v = self.moments(state, group, grad)
        if group["nesterov"]:
            m = m.lerp(grad, 1 - group["betas"][0])
        u = self.direction(state, group, m, v)
        return with_projection(self.weight_decay, group, u, grad, param)


def with_projection(
    decay: WeightDecay, group: Group, update: Tensor, grad: Tensor, param: Tensor, more: float = 1.0
) -> Tensor:
    """Return an update, projected and with decay.

    Args:
        decay: The decay of the optimizer.
        group: The hyper-parameters.
        update: The update without projection; only read.
        grad: The gradient; only read.
        param: The parameter; only read.
        more: Factor of the decay.
    """
    coefficient = decay.coefficient(group) * more if isinstance(decay, InUpdate) else 0.0
    share = param
    if param.dim() > 1:
        update, invariant = projected(update, grad, param, group["delta"], group["eps"])
        share = torch.where(invariant, param * group["wd_ratio"], param)
    return update.add(share, alpha=coefficient) if coefficient else update
