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

from schuss.domains import Domains, whole
from schuss.optimizers.adam import Adam
from schuss.schedules import warmup as warmup_factor

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.contract import Group, State
    from schuss.optimizers.adam import AdamOptions
    from schuss.transforms import WeightDecay


class AdamWarmup(Adam):
    """Adam with a warm-up. Keeps two buffers per parameter, three with `amsgrad`.

    Takes the arguments of `Adam`, and:

    Args:
        warmup: Number t_w of steps of the warm-up, at least 0.
    """

    domains = Domains(warmup=whole(0))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 0.0,
        *,
        warmup: int = 0,
        **options: Unpack[AdamOptions],
    ) -> None:
        own = {"warmup": warmup}
        super().__init__(params, lr, betas, eps, weight_decay, defaults=own, **options)

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return the learning rate of this parameter's step."""
        return super().get_lr(state, group) * warmup_factor(state["step"], group["warmup"])
