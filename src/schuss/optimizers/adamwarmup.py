r"""Adam with a linear warm-up of the learning rate.

Vaswani et al., *Attention Is All You Need*, 2017, section 5.3, without the decay.
<https://arxiv.org/abs/1706.03762>

$$
\gamma_t = \gamma \min(1,\, t / t_w)
$$

The schedule counts the steps of each parameter, so that one which joins late gets its own warm-up.
To schedule any other optimizer use `schuss.schedules.WarmupLR`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.declarations import hyper
from schuss.domains import whole
from schuss.optimizers.adam import Adam
from schuss.schedules import warmup as warmup_factor

if TYPE_CHECKING:
    from torch import Tensor

    from schuss.contract import Group, State


class AdamWarmup(Adam):
    """Adam with a warm-up. Keeps two buffers per parameter, three with `amsgrad`."""

    warmup: int = hyper("t_w", "number of steps of the warm-up", whole(0), default=0, kw_only=True)

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return the learning rate of this parameter's step."""
        return super().get_lr(state, group) * warmup_factor(state["step"], group["warmup"])
