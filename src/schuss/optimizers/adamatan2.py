r"""Adam-atan2: Adam without a stabilizer.

Everett et al., *Scaling Exponents Across Parameterizations and Optimizers*, 2024, section 4.3.
<https://arxiv.org/abs/2407.05872>

$$
u_t = a \operatorname{atan2}\bigl(\hat m_t,\; b \sqrt{\hat v_t}\bigr)
$$

For small quotients the arc tangent is the quotient, large ones it bounds by $a \pi / 2$, and zero
by zero is zero: nothing has to be added, so that the update does not depend on the scale of the
gradient at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.domains import Domains, at_least
from schuss.optimizers.adam import Adam
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class AdamAtan2(Adam):
    """Adam-atan2. Keeps two buffers per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0.
        betas: Decay rates β₁ and β₂ of the first and the second moment, in [0, 1).
        weight_decay: Coefficient λ, at least 0, of decoupled decay, or a decay object.
        a: Factor of the arc tangent, at least 0; 1.27 is 4 / π, which makes the first step as long
            as Adam's.
        b: Factor of the root, at least 0.
        **options: See `schuss.Options`.
    """

    domains = Domains(a=at_least(0), b=at_least(0))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-4,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.99),
        weight_decay: float | WeightDecay = 0.0,
        *,
        a: float = 1.27,
        b: float = 1.0,
        **options: Unpack[Options],
    ) -> None:
        decay = as_weight_decay(weight_decay, decoupled=True)
        own = {"a": a, "b": b}
        super().__init__(params, lr, betas, 0.0, decay, defaults=own, **options)

    def direction(self, state: State, group: Group, m: Tensor, v: Tensor) -> Tensor:
        """Return the angle between both moments."""
        beta1, beta2 = group["betas"]
        m_hat = m / (1 - beta1 ** state["step"])
        v_hat = v / (1 - beta2 ** state["step"])
        return torch.atan2(m_hat, v_hat.sqrt() * group["b"]) * group["a"]
