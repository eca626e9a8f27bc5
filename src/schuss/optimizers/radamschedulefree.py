r"""Schedule-Free RAdam: AdamW that needs neither a schedule nor a warm-up.

Defazio et al., *The Road Less Scheduled*, 2024, Algorithm 1.
<https://arxiv.org/abs/2405.15682>

$$
\begin{aligned}
\gamma_t &= \gamma\, r_t, \qquad
    r_t = \text{the rectification of RAdam, or } 0 \text{ where } \rho_t \le 4 \\
d_t &= \text{that of Schedule-Free AdamW}
\end{aligned}
$$

The sequence $x$ that is evaluated is a mean of all points, which does what a learning rate that
falls to zero does, without knowing when training ends. Gradients are taken at $y$, between it and
the points $z$. See `ScheduleFree` and
`PrimalAveraging` for the rest.

The rectification, which `RAdam` explains, begins at zero and rises to one, and takes the place of
the warm-up that the others need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.domains import FLAG, Domains
from schuss.optimizers.adamwschedulefree import AdamWScheduleFree
from schuss.transforms import WeightDecay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class RAdamScheduleFree(AdamWScheduleFree):
    """Schedule-Free RAdam. Keeps two buffers per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0.
        betas: Share β of the mean in the point where gradients are taken, between 0 and 1, and
            decay rate β₂ of the second moment, in [0, 1).
        eps: Stabilizer ε, at least 0, added to the root of the second moment.
        weight_decay: Coefficient λ, at least 0, of decay within the direction, or a decay object.
        silent_sgd_phase: Stand still where there is no rectification, instead of taking steps along
            the gradient.
        r: Exponent r of the step in the weight of a point.
        weight_lr_power: Exponent p of the learning rate in the weight of a point, at least 0.
        **options: See `schuss.Options`.
    """

    domains = Domains(silent_sgd_phase=FLAG)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2.5e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 0.0,
        *,
        silent_sgd_phase: bool = True,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            r=r,
            weight_lr_power=weight_lr_power,
            defaults={"silent_sgd_phase": silent_sgd_phase},
            **options,
        )

    def get_lr(self, state: State, group: Group) -> float | Tensor:
        """Return the learning rate, rectified."""
        return super().get_lr(state, group) * self.rectification(state, group)

    def direction(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the gradient over the root of the second moment, if that can be rectified."""
        adam = super().direction(state, group, grad, param)
        trusted = self.rho(state, group) > 4
        if isinstance(trusted, Tensor):  # while compiling
            return torch.where(trusted, adam, grad)
        return adam if trusted else grad

    def rectification(self, state: State, group: Group) -> float | Tensor:
        """Return the factor of the learning rate."""
        rho, rho_inf = self.rho(state, group), 2 / (1 - group["betas"][1]) - 1
        otherwise = float(not group["silent_sgd_phase"])
        if isinstance(rho, Tensor):  # while compiling; below 4 there is no root
            return torch.where(rho > 4, _rectified(rho.clamp(min=4), rho_inf), otherwise)
        return _rectified(rho, rho_inf) if rho > 4 else otherwise

    def rho(self, state: State, group: Group) -> Any:
        """Return the length of the average that the second moment is."""
        beta2, step = group["betas"][1], state["step"]
        rho_inf = 2 / (1 - beta2) - 1
        return rho_inf - 2 * step * beta2**step / (1 - beta2**step)


def _rectified(rho: Any, rho_inf: float) -> Any:
    numerator = (rho - 4) * (rho - 2) * rho_inf
    return (numerator / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5
