r"""L-DoG: distance over gradients, for each layer.

Ivgi, Hinder and Carmon, *DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size Schedule*,
2023, section 4.3.
<https://arxiv.org/abs/2302.12022>

$$
\begin{aligned}
\bar r_t &= \max\bigl(\bar r_{t-1},\; \lVert \theta_{t-1} - \theta_0 \rVert_2\bigr), \qquad
    \bar r_1 = r_\epsilon (1 + \lVert \theta_0 \rVert_2) \\
G_t &= G_{t-1} + \lVert g_t \rVert_2^2, \qquad G_0 = \epsilon \\
u_t &= \frac{\bar r_t}{\sqrt{G_t}}\, g_t
\end{aligned}
$$

That is `DoG` with norms of each parameter alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.domains import Domains, above, at_least
from schuss.optimizer import Optimizer
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class LDoG(Optimizer):
    """L-DoG. Keeps one buffer per parameter, and two numbers.

    Takes the arguments of `DoG`.
    """

    domains = Domains(reps_rel=above(0), eps=at_least(0))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        reps_rel: float = 1e-6,
        weight_decay: float | WeightDecay = 0.0,
        *,
        eps: float = 1e-8,
        **options: Unpack[Options],
    ) -> None:
        defaults = {"lr": lr, "reps_rel": reps_rel, "eps": eps}
        decay = as_weight_decay(weight_decay, decoupled=False)
        super().__init__(params, defaults, weight_decay=decay, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Remember where the parameter is."""
        state["x0"] = param.detach().clone()

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient times the distance over the root of the sum of squares."""
        square = grad.square().sum()
        if "distance" not in state:
            state["distance"] = (param.norm() + 1) * group["reps_rel"]
            state["squares"] = square + group["eps"]
        else:
            state["distance"] = torch.maximum(state["distance"], (param - state["x0"]).norm())
            state["squares"] = state["squares"] + square
        root = state["squares"].sqrt()
        # Nothing over nothing is nothing.
        return grad * torch.where(root > 0, state["distance"] / root, 0.0)
