r"""Adam with a linear warm-up and a cosine decay of the learning rate.

Loshchilov and Hutter, *SGDR: Stochastic Gradient Descent with Warm Restarts*, 2016, section 3, one
cycle.
<https://arxiv.org/abs/1608.03983>

$$
\gamma_t = \gamma \begin{cases}
    t / t_w & \text{if } t < t_w \\
    \max\bigl(\alpha,\, \tfrac12 (1 + \cos \pi p_t)\bigr), \quad p_t = \min\bigl(1,\, \tfrac{t -
    t_w}{T - t_w}\bigr)
        & \text{otherwise}
\end{cases}
$$

After $T$ steps the learning rate stays at its last value. The schedule counts the steps of each
parameter. To schedule any other optimizer use `schuss.schedules.WarmupCosineLR`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.declarations import hyper
from schuss.domains import at_least, whole
from schuss.optimizers.adam import Adam
from schuss.schedules import warmup_cosine

if TYPE_CHECKING:
    from torch import Tensor

    from schuss.contract import Group, State


class AdamWarmupCosineDecay(Adam):
    """Adam, warmed up and decayed. Keeps two buffers per parameter, three with `amsgrad`."""

    warmup: int = hyper("t_w", "number of steps of the warm-up", whole(0), default=0, kw_only=True)
    total_steps: int = hyper(
        "T",
        "number of steps after which the rate no longer falls",
        whole(0),
        default=10_000_000_000,
        kw_only=True,
    )
    min_lr_ratio: float = hyper(
        "α",
        "share of the rate below which it does not fall",
        at_least(0),
        default=0.1,
        kw_only=True,
    )

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return the learning rate of this parameter's step."""
        schedule = group["warmup"], group["total_steps"], group["min_lr_ratio"]
        return super().get_lr(state, group) * warmup_cosine(state["step"], *schedule)
