r"""StableAdamW: AdamW that slows down when the second moment lags behind.

Wortsman et al., *Stable and low-precision training for large-scale vision-language models*, 2023,
Algorithm 2.
<https://arxiv.org/abs/2304.13013>

$$
\begin{aligned}
m_t, v_t &= \text{as in Adam, with } \hat\beta = \beta\, \frac{1 - \beta^{t-1}}{1 - \beta^t} \\
\rho_t &= \sqrt{\operatorname{mean}\bigl(g_t^2 / \max(v_t, \epsilon^2)\bigr)} \\
u_t &= \bigl(m_t / (\sqrt{v_t} + \epsilon) + \lambda\, \theta_{t-1}\bigr) / \max(1, \rho_t)
\end{aligned}
$$

A sudden large gradient is divided by a second moment that hardly contains it yet, and the loss
spikes. The number $\rho$ of each parameter says by how much its step is too large. The decay rates
in the equations have the effect of Adam's correction of the bias.
"""

from __future__ import annotations

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, fixed, moment_rates, rate, stabilizer
from schuss.optimizers.adam import Adam
from schuss.transforms.weight_decay import Decay


class StableAdamW(Adam):
    """StableAdamW. Keeps two buffers per parameter."""

    lr: float | Tensor = rate(default=1e-3)
    betas: tuple[float | Tensor, float | Tensor] = moment_rates(default=(0.9, 0.99))
    eps: float = stabilizer("added to the root of the second moment", default=1e-6)
    weight_decay: Decay = decay("in update", default=1e-2)
    amsgrad: bool = fixed(default=False)
    decoupled_weight_decay: bool = fixed(default=False)
    optimized_update: bool | None = fixed(default=False)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the first moment over the root of the second, slowed down."""
        step, eps = state["step"], group["eps"]
        betas = [b * (1 - b ** (step - 1)) / (1 - b**step) for b in group["betas"]]
        m, v = self.moments(state, {**group, "betas": betas}, grad)
        u = self.weight_decay.in_update(m / (v.sqrt() + eps), param, group)
        # Where the gradient is zero and nothing stabilizes, it counts as no surprise.
        surprise = grad.square() / v.clamp(min=max(eps**2, TINY))
        return u / surprise.mean().sqrt().clamp(min=1)


TINY = 1e-38
"""The smallest divisor, about the smallest normal number of float32."""
