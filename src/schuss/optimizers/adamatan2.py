r"""Adam-atan2: Adam without a stabilizer.

Everett et al., *Scaling Exponents Across Parameterizations and Optimizers*, 2024, section 4.3.
<https://arxiv.org/abs/2407.05872>

$$
u_t = a \operatorname{atan2}\bigl(\hat m_t,\; b \sqrt{\hat v_t}\bigr)
$$

The arc tangent of a small quotient is nearly the quotient itself, an update is never larger than
$a \pi / 2$, and zero over zero gives zero. No stabilizer is needed, so that the update does not
depend on the scale of the gradient at all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, fixed, hyper, moment_rates, rate
from schuss.domains import at_least
from schuss.optimizers.adam import Adam
from schuss.transforms.weight_decay import Decay


class AdamAtan2(Adam):
    """Adam-atan2. Keeps two buffers per parameter."""

    lr: float | Tensor = rate(default=1e-4)
    betas: tuple[float | Tensor, float | Tensor] = moment_rates(default=(0.9, 0.99))
    weight_decay: Decay = decay("decoupled", default=0.0)
    a: float = hyper(
        "",
        "factor of the arc tangent; 1.27 is 4 / π, which makes the first step as long as Adam's",
        at_least(0),
        default=1.27,
        kw_only=True,
    )
    b: float = hyper("", "factor of the root", at_least(0), default=1.0, kw_only=True)
    eps: float = fixed(default=0.0)
    amsgrad: bool = fixed(default=False)
    decoupled_weight_decay: bool = fixed(default=True)
    optimized_update: bool | None = fixed(default=False)

    def direction(self, state: State, group: Group, m: Tensor, v: Tensor) -> Tensor:
        """Return the angle between both moments."""
        beta1, beta2 = group["betas"]
        m_hat = m / (1 - beta1 ** state["step"])
        v_hat = v / (1 - beta2 ** state["step"])
        return torch.atan2(m_hat, v_hat.sqrt() * group["b"]) * group["a"]
