r"""Noam: Adam with the Transformer's schedule of the learning rate.

Vaswani et al., *Attention Is All You Need*, 2017, section 5.3, equation 3.
<https://arxiv.org/abs/1706.03762>

$$
\gamma_t = \gamma\, d^{-1/2} \min\bigl(t^{-1/2},\, t\, t_w^{-3/2}\bigr)
$$

The rate rises in proportion to $t$ for $t_w$ steps, and falls with its root after that. At its peak
it is $\gamma / \sqrt{d\, t_w}$. The schedule counts the steps of each parameter. To schedule any
other optimizer use `schuss.schedules.NoamLR`. labml's class has a stabilizer of 1e-16, which is
zero in half precision; here it is Adam's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.declarations import hyper, rate
from schuss.domains import whole
from schuss.optimizers.adam import Adam
from schuss.schedules import noam

if TYPE_CHECKING:
    from torch import Tensor

    from schuss.contract import Group, State


class Noam(Adam):
    """Adam with the Transformer's schedule.

    Keeps two buffers per parameter, three with `amsgrad`.
    """

    lr: float | Tensor = rate("factor of the schedule; the paper's is 1", default=1.0)
    warmup: int = hyper(
        "t_w",
        "number of steps of the warm-up; with 0 the rate only falls",
        whole(0),
        default=0,
        kw_only=True,
    )
    d_model: int = hyper("d", "width of the model", whole(1), default=512, kw_only=True)

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return the learning rate of this parameter's step."""
        factor = noam(state["step"], group["warmup"], group["d_model"])
        return super().get_lr(state, group) * factor
