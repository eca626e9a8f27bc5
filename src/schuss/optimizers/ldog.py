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

L-DoG is `DoG` with norms of each parameter alone, so that every layer has a rate of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate
from schuss.domains import above, at_least
from schuss.optimizer import Optimizer
from schuss.transforms.weight_decay import Decay


class LDoG(Optimizer):
    """L-DoG. Keeps one buffer per parameter, and two numbers."""

    lr: float | Tensor = rate("factor; the paper's is 1", default=1.0)
    reps_rel: float = hyper(
        "",
        "length of the first step, as a share of 1 + the norm of the parameter",
        above(0),
        default=1e-6,
    )
    weight_decay: Decay = decay(default=0.0)
    eps: float = hyper(
        "ε", "stabilizer, of the sum of squares", at_least(0), default=1e-8, kw_only=True
    )

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
