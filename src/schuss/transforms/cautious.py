r"""Cautious: go only where the gradient points too.

Liang, Chen, Liu and Liu, *Cautious Optimizers: Improving Training with One Line of Code*, 2024,
Algorithm 1. <https://arxiv.org/abs/2411.16085>

$$
\begin{aligned}
\phi &= \mathbb 1[u \odot g > 0] \\
u &\leftarrow u \odot \phi / \max(\operatorname{mean}(\phi),\, \epsilon)
\end{aligned}
$$

Momentum may point against the present gradient, and then the loss grows. Where it does, the weight
waits; the others step further, so that the mean step stays about as long. The paper divides by
$(\lVert \phi \rVert_1 + 1) / d$ in its algorithm, its code by the mean of at least $10^{-3}$, which
is what is done here.

Chen et al., *Cautious Weight Decay*, 2025, Algorithm 1, mask the decay where it would work against
the update: $u \leftarrow u + \lambda\, \theta \odot \mathbb 1[u \odot \theta \ge 0]$. Weights that
rest decay as well. <https://arxiv.org/abs/2510.12402>
"""

from __future__ import annotations

from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import flag, hyper
from schuss.domains import at_least
from schuss.transforms.transform import Transform

MIN_MEAN = 1e-3
"""The smallest share of weights that the update is divided by."""


class Cautious(Transform):
    """Drop the part of the update that points against the gradient."""

    cautious: bool = flag("drop that part", default=True)

    def update(
        self, state: State, group: Group, update: Tensor, grad: Tensor, param: Tensor
    ) -> Tensor:
        """Return the update where it agrees with the gradient, and zero elsewhere."""
        if not group["cautious"]:
            return update
        mask = (update * grad > 0).to(update.dtype)
        return update * mask / mask.mean().clamp(min=MIN_MEAN)


class CautiousDecay(Transform):
    """Decay the weights that the update does not make larger."""

    cautious_weight_decay: float = hyper(
        "λ", "coefficient, multiplied by the learning rate", at_least(0), default=0.0
    )

    def update(
        self, state: State, group: Group, update: Tensor, grad: Tensor, param: Tensor
    ) -> Tensor:
        """Return the update, with the decay where it does not work against it."""
        mask = (update * param >= 0).to(param.dtype)
        return update.addcmul(param, mask, value=group["cautious_weight_decay"])
