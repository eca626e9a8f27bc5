r"""Schedule-Free AdamW: AdamW that needs no schedule.

Defazio et al., *The Road Less Scheduled*, 2024, Algorithm 1.
<https://arxiv.org/abs/2405.15682>

$$
\begin{aligned}
v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
d_t &= g_t / \bigl(\sqrt{\hat v_t} + \epsilon\bigr) + \lambda\, y_t
\end{aligned}
$$

The sequence $x$, with which the model is evaluated, is a mean of all points $z$. The mean has the
effect of a learning rate that falls to zero, without knowing when training ends. Gradients are
taken at $y$, between the mean and the last point; the parameters are $y$. `ScheduleFree` and
`PrimalAveraging` have the equations of these sequences.
"""

from __future__ import annotations

import torch
from torch import Tensor

from schuss.averaging import ScheduleFree
from schuss.contract import Group, State
from schuss.declarations import decay, hyper, rate, stabilizer
from schuss.domains import DECAY_RATE, INSIDE, tuple_of
from schuss.transforms.weight_decay import Decay


class AdamWScheduleFree(ScheduleFree):
    """Schedule-Free AdamW. Keeps two buffers per parameter."""

    lr: float | Tensor = rate("up to ten times that of AdamW", default=2.5e-3)
    betas: tuple[float, float] = hyper(
        "β, β₂",
        "share β of the mean in the point where gradients are taken, and decay rate β₂ "
        "of the second moment",
        tuple_of(INSIDE, DECAY_RATE),
        default=(0.9, 0.999),
    )
    eps: float = stabilizer("added to the root of the second moment", default=1e-8)
    weight_decay: Decay = decay("in update", default=0.0)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the second moment at zero."""
        super().init_state(state, group, param)
        state["exp_avg_sq"] = torch.zeros_like(param)

    def direction(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient over the root of the second moment."""
        beta2, v = group["betas"][1], state["exp_avg_sq"]
        v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        v_hat = v / (1 - beta2 ** state["step"])
        return grad / (v_hat.sqrt() + group["eps"])
