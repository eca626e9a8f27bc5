r"""OrthoGrad: drop what only scales the weights.

Prieto, Barsbey, Mediano and Birdal, *Grokking at the Edge of Numerical Stability*, 2025, section 5.
<https://arxiv.org/abs/2501.04697>

$$
\begin{aligned}
g_\perp &= g - \frac{\langle \theta, g \rangle}{\langle \theta, \theta \rangle + \epsilon}\,
    \theta \\
g &\leftarrow g_\perp\, \frac{\lVert g \rVert}{\lVert g_\perp \rVert}
\end{aligned}
$$

A network that fits its data can lower the loss further by scaling its logits, until the softmax
saturates and nothing more is learned. Without the component along the weights it cannot. The
stabilizer is $10^{-30}$. A gradient in the direction of the weights, as it must be where there is
only one weight, becomes zero here; the authors' code amplifies the rounding errors that remain.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import flag
from schuss.transforms.transform import Transform

EPS = 1e-30
"""The stabilizer of the authors."""
ROUNDING = 1e-5
"""The share of a gradient below which what remains of it is rounding errors."""


class OrthogonalGradient(Transform):
    """Take the component along the parameter out of its gradient, and keep the gradient's norm."""

    orthogonal_gradient: bool = flag("take that component out", default=True)

    def gradient(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return a gradient as long as the given one, at a right angle to the parameter."""
        if not group["orthogonal_gradient"]:
            return grad
        along = (param * grad).sum() / (param.square().sum() + EPS)
        across = grad - along * param
        before, after = grad.norm(), across.norm()
        longer = torch.where(after > ROUNDING * before, before / after, 0.0)
        return across * longer
