r"""NAdam: Adam with Nesterov momentum.

Dozat, *Incorporating Nesterov Momentum into Adam*, 2016, Algorithm 2.
<https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ>

$$
\begin{aligned}
\mu_t &= \beta_1 \bigl(1 - \tfrac12\, 0.96^{\,t\psi}\bigr) \\
\hat m_t &= \frac{\mu_{t+1}\, m_t}{1 - \prod_{i=1}^{t+1} \mu_i}
    + \frac{(1 - \mu_t)\, g_t}{1 - \prod_{i=1}^{t} \mu_i} \\
\hat v_t &= v_t / (1 - \beta_2^t) \\
u_t &= \hat m_t / \bigl(\sqrt{\hat v_t} + \epsilon\bigr)
\end{aligned}
$$

with the moments of Adam. The momentum $\mu_{t+1}$ of the coming step is applied already in this
step, to the first moment that has seen the present gradient. So the rule looks ahead without a
second gradient. The constants 0.96 and 1/2 are the paper's; `torch.optim` has the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from schuss.contract import Group, State, scalar_dtype
from schuss.declarations import fixed, flag, hyper, rate
from schuss.domains import at_least
from schuss.optimizers.adam import Adam

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options
    from schuss.transforms import WeightDecay


class NAdam(Adam):
    """Adam with Nesterov momentum. Keeps two buffers per parameter."""

    lr: float | Tensor = rate(default=2e-3)
    momentum_decay: float = hyper(
        "ψ", "rate at which the momentum approaches β₁", at_least(0), default=4e-3
    )
    decoupled_weight_decay: bool = flag(
        "decay the weight itself; True makes this NAdamW", default=False
    )
    amsgrad: bool = fixed(default=False)
    optimized_update: bool | None = fixed(default=False)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            defaults={"momentum_decay": momentum_decay},
            **options,
        )

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both moments at zero, and the product of the momenta at one."""
        super().init_state(state, group, param)
        state["mu_product"] = 1.0

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the first moment, looked ahead, over the root of the second."""
        (beta1, beta2), psi, step = group["betas"], group["momentum_decay"], state["step"]
        m, v = self.moments(state, group, grad)
        mu = beta1 * (1 - 0.5 * 0.96 ** (step * psi))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((step + 1) * psi))
        product = state["mu_product"] = _rounded_product(state["mu_product"], mu)
        m_hat = m * (mu_next / (1 - product * mu_next)) + grad * ((1 - mu) / (1 - product))
        v_hat = v / (1 - beta2**step)
        return m_hat / (v_hat.sqrt() + group["eps"])


def _rounded_product(product: Any, mu: Any) -> Any:
    """Multiply as `torch.optim` does, which holds the product in a tensor of no dimensions."""
    dtype = scalar_dtype()
    if isinstance(product, Tensor):  # while compiling
        return (product.to(dtype) * mu.to(dtype)).to(product.dtype)
    return (torch.tensor(product, dtype=dtype, device="cpu") * mu).item()
