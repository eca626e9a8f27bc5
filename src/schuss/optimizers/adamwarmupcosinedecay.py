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

After $T$ steps the rate stays where it is. The schedule counts the steps of each parameter. To
schedule any other optimizer use `schuss.schedules.WarmupCosineLR`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.domains import Domains, at_least, whole
from schuss.optimizers.adam import Adam
from schuss.schedules import warmup_cosine

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.contract import Group, State
    from schuss.optimizers.adam import AdamOptions
    from schuss.transforms import WeightDecay


class AdamWarmupCosineDecay(Adam):
    """Adam, warmed up and decayed. Keeps two buffers per parameter, three with `amsgrad`.

    Takes the arguments of `Adam`, and:

    Args:
        warmup: Number t_w of steps of the warm-up, at least 0.
        total_steps: Number T of steps after which the rate no longer falls.
        min_lr_ratio: Share α of the rate below which it does not fall, at least 0.
    """

    domains = Domains(warmup=whole(0), total_steps=whole(0), min_lr_ratio=at_least(0))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 0.0,
        *,
        warmup: int = 0,
        total_steps: int = 10_000_000_000,
        min_lr_ratio: float = 0.1,
        **options: Unpack[AdamOptions],
    ) -> None:
        own = {"warmup": warmup, "total_steps": total_steps, "min_lr_ratio": min_lr_ratio}
        super().__init__(params, lr, betas, eps, weight_decay, defaults=own, **options)

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return the learning rate of this parameter's step."""
        schedule = group["warmup"], group["total_steps"], group["min_lr_ratio"]
        return super().get_lr(state, group) * warmup_cosine(state["step"], *schedule)
