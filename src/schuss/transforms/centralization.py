r"""Gradient centralization: give every output's gradient a mean of zero.

Yong, Huang, Hua and Zhang, *Gradient Centralization: A New Optimization Technique for Deep Neural
Networks*, 2020, equation 1. <https://arxiv.org/abs/2004.01461>

$$
g_i \leftarrow g_i - \operatorname{mean}(g_i)
$$

Here $g_i$ is what belongs to output $i$, the first dimension: a row of a matrix, a filter of a
convolution. With plain gradient descent the weights of an output then keep the mean that they began
with, and a common shift of all inputs does what it did at the start. Vectors and scalars are left
as they are.
"""

from __future__ import annotations

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import flag
from schuss.transforms.transform import Transform


class GradientCentralization(Transform):
    """Subtract from the gradient of every matrix or filter the mean over all but the outputs."""

    gradient_centralization: bool = flag(
        "center gradients; for convolutions alone, say False in the groups of the others",
        default=True,
    )

    def gradient(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient minus its mean for each output; a vector or a scalar as it is."""
        if not group["gradient_centralization"] or grad.dim() < 2:
            return grad
        return grad - grad.mean(dim=tuple(range(1, grad.dim())), keepdim=True)
