r"""Hyperball: weights of constant norm, and steps in proportion to it.

Wen, Dang, Lyu, Ma and Liang, *Fantastic Pretraining Optimizers and Where to Find Them 2.1:
Hyperball Optimization*, 2025. <https://whenwen.github.io/wd_blog/public/hyperball-part-1.html>

$$
\begin{aligned}
u &\leftarrow R\, u / \lVert u \rVert_F \\
\theta &\leftarrow R\, \theta / \lVert \theta \rVert_F, \quad \text{after the step}
\end{aligned}
$$

A network with normalization layers does not depend on the size of its weights, and weight decay
only decides at which size they come to rest, and so how far a step turns them. With both norms kept
at $R = \lVert \theta_0 \rVert_F$, the learning rate alone decides how far: by the angle $\gamma$
at most, if that is small. The transform takes the place of weight decay. With Muon as the rule the
method is called MuonH.

The norm is of a whole parameter, and begins with the transform. A parameter that is zero then has
no norm to keep, and moves as without the transform.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State, wide_dtype
from schuss.declarations import flag
from schuss.transforms.transform import Transform


class Hyperball(Transform):
    """Keep the norm of every parameter, and give its update the same. Keeps one number."""

    hyperball: bool = flag("keep the norms", default=True)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Remember the norm of the parameter."""
        state["radius"] = torch.linalg.vector_norm(param.detach(), dtype=wide_dtype(param))

    def update(
        self, state: State, group: Group, update: Tensor, grad: Tensor, param: Tensor
    ) -> Tensor:
        """Return the update, as long as the parameter."""
        if not group["hyperball"]:
            return update
        return update * _factor(state["radius"], update.norm())

    def parameter(self, state: State, group: Group, param: Tensor) -> None:
        """Give the parameter the norm that it had in the beginning."""
        if not group["hyperball"]:
            return
        radius, norm = state["radius"], param.norm()
        param.mul_(_factor(radius, norm))
        # Zeros have no direction to keep, and are free from then on.
        state["radius"] = radius * norm.sign()


def _factor(radius: Tensor, norm: Tensor) -> Tensor:
    """Return the radius over a norm; 1 if one is zero."""
    return torch.where(norm * radius > 0, radius / norm, 1.0)
