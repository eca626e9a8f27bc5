r"""Grokfast: amplify what changes slowly.

Lee, Kang, Kim and Lee, *Grokfast: Accelerated Grokking by Amplifying Slow Gradients*, 2024,
Algorithm 2. <https://arxiv.org/abs/2405.20233>

$$
\begin{aligned}
\mu_t &= \alpha\, \mu_{t-1} + (1 - \alpha)\, g_t, \qquad \mu_0 = g_1 \\
g_t &\leftarrow g_t + \lambda\, \mu_t
\end{aligned}
$$

The mean of the gradients is their slow part, which is what generalizes once the data are fitted.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State, wide_dtype
from schuss.domains import SHARE, Domains, at_least
from schuss.transforms.transform import Transform


class Grokfast(Transform):
    """Add a running mean of the gradients to the gradient. Keeps one buffer per parameter.

    Args:
        grokfast_alpha: Decay rate α of the mean, in [0, 1].
        grokfast_lamb: Factor λ of the mean, at least 0; 0 leaves the gradient as it is.
    """

    domains = Domains(grokfast_alpha=SHARE, grokfast_lamb=at_least(0))

    def __init__(self, grokfast_alpha: float = 0.98, grokfast_lamb: float = 2.0) -> None:
        super().__init__(grokfast_alpha=grokfast_alpha, grokfast_lamb=grokfast_lamb)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Make room for the mean, which begins with the first gradient."""
        state["grokfast_begun"] = False
        state["grokfast_avg"] = torch.zeros_like(param, dtype=wide_dtype(param))

    def gradient(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Take the gradient into the mean, and return it with the mean added."""
        mean = state["grokfast_avg"]
        if state["grokfast_begun"]:
            mean.lerp_(grad, 1 - group["grokfast_alpha"])
        else:
            mean.copy_(grad)
        state["grokfast_begun"] = True
        return grad.add(mean, alpha=group["grokfast_lamb"])
