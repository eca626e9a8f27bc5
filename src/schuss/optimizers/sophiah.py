r"""Sophia-H: Sophia with the Hessian's own diagonal.

Liu et al., *Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training*,
2023, Algorithms 1 and 3.
<https://arxiv.org/abs/2305.14342>

$$
\begin{aligned}
h_t &= \beta_2 h_{t-1} + (1 - \beta_2)\, u \odot H u, \quad u_i = \pm 1, \quad
    \text{every } k \text{ steps, else } h_{t-1} \\
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
u_t &= \operatorname{clip}\bigl(m_t / \max(\rho\, h_t,\, \epsilon),\, 1\bigr)
\end{aligned}
$$

The estimate is of the Hessian itself, negative where the loss bends down, and needs no labels drawn
from the model; it costs a backward pass through the backward pass.
"""

from __future__ import annotations

from schuss.declarations import hyper
from schuss.domains import at_least, decay_rates
from schuss.optimizers.sophia import Sophia


class SophiaH(Sophia):
    """Sophia-H. Keeps two buffers per parameter.

    Example:
        >>> import torch
        >>> from schuss import SophiaH
        >>> weight = torch.nn.Parameter(torch.tensor([3.0]))
        >>> optimizer = SophiaH([weight], lr=0.5)
        >>> for step in range(20):
        ...     loss = weight.square().sum()
        ...     if step % 10 == 0:
        ...         optimizer.estimate_hessian(loss)
        ...     optimizer.zero_grad()
        ...     loss.backward()
        ...     optimizer.step()
        >>> optimizer.state[weight]["hessian"]  # 2, of which it has taken 0.01 twice
        tensor([0.0398])
    """

    betas: tuple[float, float] = hyper(
        "β₁, β₂",
        "decay rates β₁ of the momentum and β₂ of the curvature",
        decay_rates(2),
        default=(0.96, 0.99),
    )
    rho: float = hyper(
        "ρ",
        "share of the curvature to divide by; the smaller, the more coordinates are clipped",
        at_least(0),
        default=0.01,
    )
