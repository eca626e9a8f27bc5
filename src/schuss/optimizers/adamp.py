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
right angle to them. Every step along it makes them longer, momentum much more so, and what is
longer turns less. $\Pi$ drops the part of the update along the weights, and the decay, which held
them back so far, is made weaker by $\rho$. Weights are found out by the angle, channel by channel
or as a whole; vectors and scalars are left to Adam.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.domains import FLAG, Domains, at_least
from schuss.optimizers.adam import Adam
from schuss.transforms.projection import projected
from schuss.transforms.weight_decay import InUpdate, WeightDecay, decay_in_update

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class AdamP(Adam):
    """AdamP. Keeps two buffers per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0; about the largest change of a weight in one step.
        betas: Decay rates β₁ and β₂ of the first and the second moment, in [0, 1).
        eps: Stabilizer ε, at least 0, added to the root of the second moment and to norms.
        weight_decay: Coefficient λ, at least 0, of decay of the weights themselves, or a decay
            object, which does as it does in other optimizers.
        delta: Threshold δ of the cosine, at least 0; with 0 it is AdamW.
        wd_ratio: Share ρ of the decay for scale-invariant weights, at least 0.
        nesterov: Take the gradient into the mean once more, as `NAdamW`.
        **options: See `schuss.Options`.
    """

    domains = Domains(delta=at_least(0), wd_ratio=at_least(0), nesterov=FLAG)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 0.0,
        delta: float = 0.1,
        wd_ratio: float = 0.1,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        own = {"delta": delta, "wd_ratio": wd_ratio, "nesterov": nesterov}
        decay = decay_in_update(weight_decay)
        super().__init__(params, lr, betas, eps, decay, defaults=own, **options)

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
        update: What the rule makes of the gradient; only read.
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
