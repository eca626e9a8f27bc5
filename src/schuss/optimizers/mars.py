r"""MARS: variance reduction, then AdamW.

Yuan et al., *MARS: Unleashing the Power of Variance Reduction for Training Large Models*, 2024,
MARS-AdamW, in its approximate form.
<https://arxiv.org/abs/2411.10438>

$$
\begin{aligned}
c_t &= g_t + \kappa\, \frac{\beta_1}{1 - \beta_1}\, (g_t - g_{t-1}), \qquad g_0 = 0 \\
\tilde c_t &= c_t / \max(1, \lVert c_t \rVert_2) \\
u_t &= \text{that of AdamW for the gradient } \tilde c_t
\end{aligned}
$$

The difference to the last gradient corrects the mean for where the parameters have gone since. The
exact form takes the old gradient on the new batch, a second backward pass. $\kappa$ is the paper's
$\gamma$. That the gradient before the first is zero is from the authors' code,
<https://github.com/AGI-Arena/MARS>; timm takes the first gradient as it is. Parameters of one
dimension take AdamW with decay rates of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.domains import FLAG, Domains, at_least, decay_rates
from schuss.optimizers.adam import Adam
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class MARS(Adam):
    """MARS-AdamW. Keeps three buffers per parameter, two for vectors.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0.
        betas: Decay rates β₁ and β₂ of the first and the second moment, in [0, 1).
        eps: Stabilizer ε, at least 0, added to the root of the second moment.
        weight_decay: Coefficient λ, at least 0, of decoupled decay, or a decay object.
        kappa: Strength κ of the correction, at least 0; 0 is AdamW of clipped gradients.
        optimize_1d: Correct the gradients of vectors and scalars too.
        betas_1d: Decay rates for vectors and scalars if their gradients are not corrected.
        **options: See `schuss.Options`.
    """

    domains = Domains(kappa=at_least(0), optimize_1d=FLAG, betas_1d=decay_rates(2))

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 3e-3,
        betas: tuple[float, float] = (0.95, 0.99),
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 0.0,
        *,
        kappa: float = 0.025,
        optimize_1d: bool = False,
        betas_1d: tuple[float, float] = (0.9, 0.95),
        **options: Unpack[Options],
    ) -> None:
        own = {"kappa": kappa, "optimize_1d": optimize_1d, "betas_1d": betas_1d}
        decay = as_weight_decay(weight_decay, decoupled=True)
        super().__init__(params, lr, betas, eps, decay, defaults=own, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the moments and the last gradient at zero."""
        super().init_state(state, group, param)
        if self.corrects(group, param):
            state["last_grad"] = torch.zeros_like(param)

    def update(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the update of AdamW for the corrected gradient."""
        if "last_grad" not in state:
            return super().update(state, {**group, "betas": group["betas_1d"]}, grad, param)
        beta1 = group["betas"][0]
        strength = group["kappa"] * beta1 / (1 - beta1)
        c = grad.add(grad - state["last_grad"], alpha=strength)
        state["last_grad"].copy_(grad)
        return super().update(state, group, c / c.norm().clamp(min=1), param)

    def corrects(self, group: Group, param: Tensor) -> bool:
        """Tell whether the gradient of a parameter is corrected."""
        real_dims = param.dim() + param.is_complex()
        return bool(group["optimize_1d"]) or real_dims > 1
