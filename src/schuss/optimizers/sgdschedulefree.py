r"""Schedule-Free SGD: gradient descent that needs no schedule.

Defazio et al., *The Road Less Scheduled*, 2024, Algorithm 1.
<https://arxiv.org/abs/2405.15682>

$$
d_t = g_t + \lambda\, y_t
$$

The sequence $x$ that is evaluated is a mean of all points, which does what a learning rate that
falls to zero does, without knowing when training ends. Gradients are taken at $y$, between it and
the points $z$. See `ScheduleFree` and
`PrimalAveraging` for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from schuss.averaging import ScheduleFree
from schuss.contract import Group, State
from schuss.domains import INSIDE, Domains
from schuss.transforms import WeightDecay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class SGDScheduleFree(ScheduleFree):
    """Schedule-Free SGD. Keeps one buffer per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0; much larger than SGD's.
        momentum: Share β of the mean in the point where gradients are taken, between 0 and 1.
        weight_decay: Coefficient λ, at least 0, of decay within the direction, or a decay object.
        warmup_steps: Number of steps in which the learning rate rises, at least 0.
        r: Exponent r of the step in the weight of a point.
        weight_lr_power: Exponent p of the learning rate in the weight of a point, at least 0.
        **options: See `schuss.Options`.
    """

    domains = Domains(momentum=INSIDE)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        momentum: float = 0.9,
        weight_decay: float | WeightDecay = 0.0,
        *,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        **options: Unpack[Options],
    ) -> None:
        own = {"lr": lr, "momentum": momentum}
        super().__init__(params, own, weight_decay, warmup_steps, r, weight_lr_power, **options)

    def direction(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient."""
        return grad

    def momentum(self, group: Group) -> float:
        """Return β."""
        beta: float = group["momentum"]
        return beta
