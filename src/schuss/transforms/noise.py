r"""Gradient noise: shake, less and less.

Neelakantan et al., *Adding Gradient Noise Improves Learning for Very Deep Networks*, 2015,
section 3. <https://arxiv.org/abs/1511.06807>

$$
g_t \leftarrow g_t + \mathcal N(0, \sigma_t^2), \qquad
\sigma_t^2 = \frac{\eta}{(1 + t)^\gamma}
$$

The draws depend on the seed of torch's generator, not on the number of threads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import hyper
from schuss.domains import at_least
from schuss.transforms.transform import Transform


class GradientNoise(Transform):
    """Add noise to the gradient. Keeps a step count."""

    noise_eta: float = hyper(
        "η", "variance of the noise before it decays", at_least(0), default=0.01
    )
    noise_gamma: float = hyper("γ", "exponent of its decay", at_least(0), default=0.55)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the count of steps, on which the variance of the noise depends."""
        state["noise_step"] = 0

    def gradient(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient with the noise of step t, counted from 0."""
        variance = group["noise_eta"] / (1 + state["noise_step"]) ** group["noise_gamma"]
        state["noise_step"] += 1
        return grad.add(torch.randn_like(grad), alpha=variance**0.5)
