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
`layer_adaptation=False`. timm decays by 0.01 unless told otherwise; here no decay is the default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from schuss.contract import Group, State
from schuss.domains import FLAG, Domains, at_least, or_none
from schuss.optimizers.adam import Adam
from schuss.transforms import WeightDecay
from schuss.transforms.trust_ratio import ratio
from schuss.transforms.weight_decay import decay_in_update

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class LAMB(Adam):
    """LAMB. Keeps two buffers per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0: the share of its norm by which a parameter moves.
        betas: Decay rates β₁ and β₂ of the first and the second moment, in [0, 1).
        eps: Stabilizer ε, at least 0, added to the root of the second moment.
        weight_decay: Coefficient λ, at least 0, of decay within the update, or a decay object,
            which does as it does in other optimizers.
        max_trust_ratio: The largest ratio, at least 0, or None for no bound.
        layer_adaptation: Take the ratio; without, this is Adam with decoupled decay.
        bias_correction: Correct the bias of both moments. The ratio undoes it, but for what it
            means to the decay and to ε.
        **options: See `schuss.Options`.
    """

    domains = Domains(
        lamb_max_trust_ratio=or_none(at_least(0, unbounded=True)),
        layer_adaptation=FLAG,
        bias_correction=FLAG,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float | WeightDecay = 0.0,
        *,
        max_trust_ratio: float | None = None,
        layer_adaptation: bool = True,
        bias_correction: bool = True,
        **options: Unpack[Options],
    ) -> None:
        # Not `max_trust_ratio`, which is the transform's.
        own = {
            "lamb_max_trust_ratio": max_trust_ratio,
            "layer_adaptation": layer_adaptation,
            "bias_correction": bias_correction,
        }
        decay = decay_in_update(weight_decay)
        super().__init__(params, lr, betas, eps, decay, defaults=own, **options)

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
