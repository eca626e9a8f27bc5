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
from schuss.declarations import hyper
from schuss.domains import SHARE, at_least
from schuss.transforms.transform import Transform


class Grokfast(Transform):
    """Add a running mean of the gradients to the gradient. Keeps one buffer per parameter."""

    grokfast_alpha: float = hyper("α", "decay rate of the mean", SHARE, default=0.98)
    grokfast_lamb: float = hyper(
        "λ", "factor of the mean; 0 leaves the gradient as it is", at_least(0), default=2.0
    )

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
