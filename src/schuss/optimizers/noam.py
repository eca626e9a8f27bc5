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

from schuss.domains import Domains, whole
from schuss.optimizers.adam import Adam
from schuss.schedules import noam

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.contract import Group, State
    from schuss.optimizers.adam import AdamOptions
    from schuss.transforms import WeightDecay


class Noam(Adam):
    """Adam with the Transformer's schedule. Keeps two buffers per parameter, three with `amsgrad`.

    Takes the arguments of `Adam`, and:

    Args:
        lr: Factor γ of the schedule, at least 0; the paper's is 1.
        warmup: Number t_w of steps of the warm-up, at least 0; with 0 the rate only falls.
        d_model: Width d of the model, at least 1.
    """

    domains = Domains(warmup=whole(0), d_model=whole(1))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 0.0,
        *,
        warmup: int = 0,
        d_model: int = 512,
        **options: Unpack[AdamOptions],
    ) -> None:
        own = {"warmup": warmup, "d_model": d_model}
        super().__init__(params, lr, betas, eps, weight_decay, defaults=own, **options)

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return the learning rate of this parameter's step."""
        factor = noam(state["step"], group["warmup"], group["d_model"])
        return super().get_lr(state, group) * factor
