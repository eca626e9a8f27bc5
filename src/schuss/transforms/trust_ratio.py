r"""Trust ratio: a step in proportion to the weights.

You et al., *Large Batch Optimization for Deep Learning: Training BERT in 76 minutes*, 2019,
Algorithm 2. <https://arxiv.org/abs/1904.00962>

$$
u \leftarrow \frac{\lVert \theta \rVert_2}{\lVert u \rVert_2}\, u
$$

Every parameter then moves by the same share of its own norm, $\gamma$. With Adam as the rule this
is LAMB, with momentum SGD it is close to LARS. Where either norm is zero the update stays as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import flag, hyper
from schuss.domains import at_least, or_none
from schuss.transforms.transform import Transform


def ratio(param: Tensor, update: Tensor, bound: float | None) -> Tensor:
    """Return the norm of a parameter over that of its update, at most `bound`; 1 if one is zero."""
    weight, length = param.norm(), update.norm()
    quotient = torch.where((weight > 0) & (length > 0), weight / length, 1.0)
    return quotient if bound is None else quotient.clamp(max=bound)


class TrustRatio(Transform):
    """Give every parameter's update the norm of the parameter."""

    trust_ratio: bool = flag("give the update that norm", default=True)
    max_trust_ratio: float | None = hyper(
        "",
        "the largest factor, or None for no bound",
        or_none(at_least(0, unbounded=True)),
        default=None,
    )

    def update(
        self, state: State, group: Group, update: Tensor, grad: Tensor, param: Tensor
    ) -> Tensor:
        """Return the update, as long as the parameter."""
        if not group["trust_ratio"]:
            return update
        return update * ratio(param, update, group["max_trust_ratio"])
