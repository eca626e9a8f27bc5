r"""RAdam: Adam that waits until it can trust its second moment.

Liu et al., *On the Variance of the Adaptive Learning Rate and Beyond*, 2019, Algorithm 2.
<https://arxiv.org/abs/1908.03265>

$$
\begin{aligned}
\rho_\infty &= 2 / (1 - \beta_2) - 1 \\
\rho_t &= \rho_\infty - 2 t \beta_2^t / (1 - \beta_2^t) \\
r_t &= \sqrt{\frac{(\rho_t - 4)(\rho_t - 2)\, \rho_\infty}
    {(\rho_\infty - 4)(\rho_\infty - 2)\, \rho_t}} \\
u_t &= \begin{cases}
    r_t \cdot \text{Adam's} & \text{if } \rho_t > 5 \\
    m_t / (1 - \beta_1^t) & \text{otherwise}
\end{cases}
\end{aligned}
$$

$\rho_t$ is the number of gradients that the second moment averages over. With few of them its
inverse root varies wildly. The factor $r_t$ makes up for that. Below a threshold of $\rho_t$ (the
paper's is 4, `torch.optim`'s 5) the update is that of momentum, as in the first five steps with
$\beta_2 = 0.999$.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import flag, hyper
from schuss.domains import FLAG, at_least, or_none
from schuss.optimizers.adam import Adam
from schuss.scalar_math import larger, where


class RAdam(Adam):
    """Rectified Adam. Keeps two buffers per parameter, three with `amsgrad`."""

    decoupled_weight_decay: bool = flag(
        "decay the weight itself; True makes this RAdamW", default=False
    )
    amsgrad: bool = flag(
        "divide by the largest second moment so far; see `AMSGrad`", default=False, kw_only=True
    )
    optimized_update: bool | None = hyper(
        "",
        "add ε before the correction of the bias: on by default, as in the paper and in "
        "`torch.optim`",
        or_none(FLAG),
        default=True,
        kw_only=True,
    )
    degenerated_to_sgd: bool = flag(
        "below the threshold, use momentum; False keeps the parameter where it is",
        default=True,
        kw_only=True,
    )
    rho_threshold: float = hyper(
        "",
        "the threshold: rectify where ρ exceeds it. `torch.optim` has 5, the paper 4, "
        'and "at least 5" is `math.nextafter(5, 0)`',
        at_least(4, unbounded=True),
        default=5.0,
        kw_only=True,
    )

    def direction(self, state: State, group: Group, m: Tensor, v: Tensor) -> Tensor:
        """Return Adam's update, rectified, or the first moment if that cannot be done."""
        (beta1, beta2), step = group["betas"], state["step"]
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * step * beta2**step / (1 - beta2**step)
        adam = super().direction

        def rectified(rho: Any) -> Tensor:
            numerator = (rho - 4) * (rho - 2) * rho_inf
            r = (numerator / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5
            return r * adam(state, group, m, v)

        def momentum() -> Tensor:
            return m / (1 - beta1**step) if group["degenerated_to_sgd"] else torch.zeros_like(m)

        # Below 4 there is no root.
        trusted = rho > group["rho_threshold"]
        direction: Tensor = where(trusted, lambda: rectified(larger(rho, 4)), momentum)
        return direction
