r"""GPA: AdamW whose weights are averaged while it trains.

Defazio et al., *Smoothing DiLoCo with Primal Averaging for Faster Training of LLMs*, 2025,
Algorithm 1, with AdamW.
<https://arxiv.org/abs/2512.17131>

$$
\begin{aligned}
d_t &= \hat m_t / \bigl(\sqrt{\hat v_t} + \epsilon\bigr) \\
z_{t+1} &= (1 - \gamma_t \lambda)\, z_t - \gamma_t d_t \\
x_{t+1} &= \mu_x x_t + (1 - \mu_x)\, z_{t+1} \\
y_{t+1} &= \mu_y x_{t+1} + (1 - \mu_y)\, z_{t+1}
\end{aligned}
$$

Generalized primal averaging takes gradients between the last point $z$ and a running mean $x$ of
them, which is what is evaluated. Nesterov's momentum is the case of one $\mu$ for both; apart, one
says how far the mean reaches, the other how much of it is felt. It does with every step what DiLoCo
does now and then.

Decay is that of the authors' `GPAAdamW`, <https://github.com/facebookresearch/optimizers>: it
shrinks $z$ in place. As $y$ is the other sequence that is kept, $x = (y - (1 - \mu_y)\, z) / \mu_y$
grows by that. With `decay_on_y`, $y$ shrinks, and $x$ with it. Their learning rate is 1 unless
told otherwise, for a schedule to multiply; here it is AdamW's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from schuss.averaging import PrimalAveraging
from schuss.contract import Group, State
from schuss.domains import FLAG, POSITIVE_SHARE, SHARE, Domains, at_least, decay_rates
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class GPA(PrimalAveraging):
    """GPA with AdamW. Keeps three buffers per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0.
        betas: Decay rates β₁ and β₂ of the first and the second moment, in [0, 1).
        eps: Stabilizer ε, at least 0, added to the root of the second moment.
        weight_decay: Coefficient λ, at least 0, of decoupled decay, or a decay object.
        train_interp_coeff: Share μ_y of the mean in the point where gradients are taken, in
            (0, 1].
        eval_interp_coeff: Decay rate μ_x of the mean, in [0, 1].
        decay_on_y: Let decoupled decay act on y, where gradients are taken, and not on z.
        **options: See `schuss.Options`.
    """

    domains = Domains(
        betas=decay_rates(2),
        eps=at_least(0),
        train_interp_coeff=POSITIVE_SHARE,
        eval_interp_coeff=SHARE,
        decay_on_y=FLAG,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | WeightDecay = 0.0,
        *,
        train_interp_coeff: float = 0.7,
        eval_interp_coeff: float = 0.9967,
        decay_on_y: bool = False,
        **options: Unpack[Options],
    ) -> None:
        own = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "train_interp_coeff": train_interp_coeff,
            "eval_interp_coeff": eval_interp_coeff,
            "decay_on_y": decay_on_y,
        }
        decay = as_weight_decay(weight_decay, decoupled=True)
        super().__init__(params, own, decay, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start both moments at zero."""
        super().init_state(state, group, param)
        state["exp_avg"] = torch.zeros_like(param)
        state["exp_avg_sq"] = torch.zeros_like(param)

    def direction(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Return the update of Adam."""
        (beta1, beta2), step = group["betas"], state["step"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.lerp_(grad, 1 - beta1)
        v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        m_hat: Tensor = m / (1 - beta1**step)
        v_hat = v / (1 - beta2**step)
        return m_hat / (v_hat.sqrt() + group["eps"])

    def decayed(self, state: State, group: Group, grad: Tensor, param: Tensor) -> Tensor:
        """Let z decay, or y; what is added to the gradient is of y, where that was taken."""
        on_z = group["decoupled_weight_decay"] and not group["decay_on_y"]
        return self.weight_decay(state["z"] if on_z else param, grad, group)

    def share(self, state: State, group: Group, lr: float | Tensor) -> Any:
        """Return the share of the new point in the mean."""
        return 1 - group["eval_interp_coeff"]

    def momentum(self, group: Group) -> float:
        """Return the share of the mean in the point where gradients are taken."""
        share: float = group["train_interp_coeff"]
        return share
