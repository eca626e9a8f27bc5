r"""Schedule-Free AdamW: AdamW that needs no schedule.

Defazio et al., *The Road Less Scheduled*, 2024, Algorithm 1.
<https://arxiv.org/abs/2405.15682>

$$
\begin{aligned}
v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
d_t &= g_t / \bigl(\sqrt{\hat v_t} + \epsilon\bigr) + \lambda\, y_t
\end{aligned}
$$

The sequence $x$ that is evaluated is a mean of all points, which does what a learning rate that
falls to zero does, without knowing when training ends. Gradients are taken at $y$, between it and
the points $z$. See `ScheduleFree` and
`PrimalAveraging` for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from schuss.averaging import ScheduleFree
from schuss.contract import Group, State
from schuss.domains import DECAY_RATE, INSIDE, Domains, at_least, tuple_of
from schuss.transforms import WeightDecay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class AdamWScheduleFree(ScheduleFree):
    """Schedule-Free AdamW. Keeps two buffers per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0; up to ten times that of AdamW.
        betas: Share β of the mean in the point where gradients are taken, between 0 and 1, and
            decay rate β₂ of the second moment, in [0, 1).
        eps: Stabilizer ε, at least 0, added to the root of the second moment.
        weight_decay: Coefficient λ, at least 0, of decay within the direction, or a decay object.
        warmup_steps: Number of steps in which the learning rate rises, at least 0.
        r: Exponent r of the step in the weight of a point.
        weight_lr_power: Exponent p of the learning rate in the weight of a point, at least 0.
        defaults: Further hyper-parameters, those of a subclass.
        **options: See `schuss.Options`.
    """

    domains = Domains(betas=tuple_of(INSIDE, DECAY_RATE), eps=at_least(0))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2.5e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 0.0,
        *,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        defaults: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> None:
        own = {"lr": lr, "betas": betas, "eps": eps, **(defaults or {})}
        super().__init__(params, own, weight_decay, warmup_steps, r, weight_lr_power, **options)

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
