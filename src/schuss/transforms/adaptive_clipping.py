r"""Adaptive gradient clipping (AGC): bound a gradient by the weights that it is of.

Brock, De, Smith and Simonyan, *High-Performance Large-Scale Image Recognition Without
Normalization*, 2021, section 4. <https://arxiv.org/abs/2102.06171>

$$
g_i \leftarrow g_i \min\Bigl(1,\;
    \lambda\, \frac{\max(\lVert \theta_i \rVert_2, \epsilon)}{\lVert g_i \rVert_2}\Bigr)
$$

Here $\theta_i$ are the weights of output $i$, the first dimension: a row of a matrix, a filter of a
convolution; and the whole of a vector or a scalar. With plain gradient descent no output then
changes by more than the share $\gamma\lambda$ of itself in a step, which lets networks without
normalization train with large batches. The authors leave out the last linear layer: give its group
`clip_factor=None`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import hyper
from schuss.domains import at_least, or_none
from schuss.transforms.transform import Transform


class ClipAdaptive(Transform):
    """Bound the norm of every output's gradient by a share of the norm of its weights."""

    clip_factor: float | None = hyper(
        "λ",
        "the largest share, or None for no bound",
        or_none(at_least(0, unbounded=True)),
        default=0.01,
    )
    clip_eps: float = hyper(
        "ε",
        "norm, that smaller weights are taken to have, so that those which begin at zero can move",
        at_least(0),
        default=1e-3,
    )

    def gradient(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient, no part of which is longer than its weights allow."""
        if group["clip_factor"] is None:
            return grad
        norm = unit_norm(grad)
        bound = unit_norm(param).clamp(min=group["clip_eps"]) * group["clip_factor"]
        return grad * torch.where(norm > bound, bound / norm, 1.0)


def unit_norm(x: Tensor) -> Tensor:
    """Return the norm over all dimensions but the first, or over the one that there is."""
    dims = tuple(range(1, x.dim()))
    return x.square().sum(dim=dims, keepdim=True).sqrt() if dims else x.norm()
