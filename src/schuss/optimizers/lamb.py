r"""LAMB: Adam's direction, as long as the weights.

You et al., *Large Batch Optimization for Deep Learning: Training BERT in 76 minutes*, 2019,
Algorithm 2.
<https://arxiv.org/abs/1904.00962>

$$
\begin{aligned}
r_t &= \hat m_t / \bigl(\sqrt{\hat v_t} + \epsilon\bigr) + \lambda\, \theta_{t-1} \\
u_t &= \frac{\lVert \theta_{t-1} \rVert_2}{\lVert r_t \rVert_2}\, r_t
\end{aligned}
$$

Every parameter moves by the share $\gamma$ of its own norm, so that a learning rate that is large
for one layer is not too large for another, also with batches of tens of thousands. Where either
norm is zero the ratio is 1. Biases and normalization are commonly left to Adam: give their group
`layer_adaptation=False`. timm decays by 0.01 by default; here the default is no decay.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, fixed, flag, hyper, rate, stabilizer
from schuss.domains import Domains, at_least, or_none
from schuss.optimizers.adam import Adam
from schuss.transforms.trust_ratio import ratio
from schuss.transforms.weight_decay import Decay


class LAMB(Adam):
    """LAMB. Keeps two buffers per parameter."""

    lr: float | Tensor = rate("the share of its norm by which a parameter moves", default=1e-3)
    eps: float = stabilizer("added to the root of the second moment", default=1e-6)
    weight_decay: Decay = decay("in update", default=0.0)
    max_trust_ratio: float | None = hyper(
        "",
        "the largest ratio, or None for no bound",
        or_none(at_least(0, unbounded=True)),
        default=None,
        kw_only=True,
    )
    layer_adaptation: bool = flag(
        "take the ratio; without, this is Adam with decoupled decay", default=True, kw_only=True
    )
    bias_correction: bool = flag(
        "correct the bias of both moments. The ratio undoes it, but for what it means "
        "to the decay and to ε",
        default=True,
        kw_only=True,
    )
    amsgrad: bool = fixed(default=False)
    decoupled_weight_decay: bool = fixed(default=False)
    optimized_update: bool | None = fixed(default=False)

    domains = Domains(lamb_max_trust_ratio=or_none(at_least(0, unbounded=True)))

    def group_values(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values under the names that they have in a group, beside `TrustRatio`'s."""
        largest = values.pop("max_trust_ratio")
        return {**values, "lamb_max_trust_ratio": largest}

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the direction of Adam, with the decay, as long as the parameter."""
        r = super().update(state, group, grad, param)
        r = self.weight_decay.in_update(r, param, group)
        if not group["layer_adaptation"]:
            return r
        return r * ratio(param, r, group["lamb_max_trust_ratio"])

    def direction(self, state: State, group: Group, m: Tensor, v: Tensor) -> Tensor:
        """Return the first moment over the root of the second."""
        if group["bias_correction"]:
            return super().direction(state, group, m, v)
        return m / (v.sqrt() + group["eps"])
