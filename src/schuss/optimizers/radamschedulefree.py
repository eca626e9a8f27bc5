r"""Schedule-Free RAdam: AdamW that needs neither a schedule nor a warm-up.

Defazio et al., *The Road Less Scheduled*, 2024, Algorithm 1.
<https://arxiv.org/abs/2405.15682>

$$
\begin{aligned}
\gamma_t &= \gamma\, r_t, \qquad
    r_t = \text{the rectification of RAdam, or } 0 \text{ where } \rho_t \le 4 \\
d_t &= \text{that of Schedule-Free AdamW}
\end{aligned}
$$

The sequence $x$, with which the model is evaluated, is a mean of all points $z$. The mean has the
effect of a learning rate that falls to zero, without knowing when training ends. Gradients are
taken at $y$, between the mean and the last point; the parameters are $y$. `ScheduleFree` and
`PrimalAveraging` have the equations of these sequences.

The rectification, which `RAdam` explains, begins at zero and rises to one, and takes the place of
the warm-up that the other schedule-free optimizers need.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import fixed, flag, rate
from schuss.optimizers.adamwschedulefree import AdamWScheduleFree
from schuss.scalar_math import larger, where


class RAdamScheduleFree(AdamWScheduleFree):
    """Schedule-Free RAdam. Keeps two buffers per parameter."""

    lr: float | Tensor = rate(default=2.5e-3)
    silent_sgd_phase: bool = flag(
        "stand still where there is no rectification, instead of taking steps along the gradient",
        default=True,
        kw_only=True,
    )
    warmup_steps: int = fixed(default=0)

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return the learning rate, rectified."""
        return super().get_lr(state, group) * self.rectification(state, group)

    def direction(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient over the root of the second moment, if that can be rectified."""
        adam = super().direction(state, group, grad, param)
        direction: Tensor = where(self.rho(state, group) > 4, lambda: adam, lambda: grad)
        return direction

    def rectification(self, state: State, group: Group) -> Any:
        """Return the factor of the learning rate."""
        rho, rho_inf = self.rho(state, group), 2 / (1 - group["betas"][1]) - 1
        otherwise = 0.0 if group["silent_sgd_phase"] else 1.0
        # Below 4 there is no root.
        return where(rho > 4, lambda: _rectified(larger(rho, 4), rho_inf), lambda: otherwise)

    def rho(self, state: State, group: Group) -> Any:
        """Return the length of the average that the second moment is."""
        beta2, step = group["betas"][1], state["step"]
        rho_inf = 2 / (1 - beta2) - 1
        return rho_inf - 2 * step * beta2**step / (1 - beta2**step)


def _rectified(rho: Any, rho_inf: float) -> Any:
    numerator = (rho - 4) * (rho - 2) * rho_inf
    return (numerator / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5
