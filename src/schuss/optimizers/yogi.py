r"""Yogi: a second moment that changes slowly, up and down.

Zaheer et al., *Adaptive Methods for Nonconvex Optimization*, 2018, Algorithm 2.
<https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization>

$$
\begin{aligned}
m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
v_t &= v_{t-1} - (1 - \beta_2) \operatorname{sign}(v_{t-1} - g_t^2)\, g_t^2 \\
u_t &= \hat m_t / \bigl(\sqrt{\hat v_t} + \epsilon\bigr)
\end{aligned}
$$

Adam's second moment falls in proportion to itself when gradients become small, and its steps grow
fast. Here it falls in proportion to the small gradients. The paper corrects no bias; every
implementation does, and so does this one by default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.domains import FLAG, Domains, at_least
from schuss.optimizers.adam import Adam
from schuss.transforms import WeightDecay
from schuss.transforms.weight_decay import as_weight_decay

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Unpack

    from schuss.hyperparameters import Options


class Yogi(Adam):
    """Yogi. Keeps two buffers per parameter.

    Args:
        params: Parameters, named parameters, or groups of them as dictionaries with
            hyper-parameters of their own.
        lr: Learning rate γ, at least 0.
        betas: Decay rates β₁ and β₂ of the first and the second moment, in [0, 1).
        eps: Stabilizer ε, at least 0, added to the root of the second moment.
        weight_decay: Coefficient λ, at least 0, of decoupled decay, or a decay object.
        initial_accumulator: What the second moment starts from, at least 0.
        bias_correction: Correct the bias of both moments; False is the paper's algorithm.
        **options: See `schuss.Options`.
    """

    domains = Domains(initial_accumulator=at_least(0), bias_correction=FLAG)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-3,
        weight_decay: float | WeightDecay = 0.0,
        *,
        initial_accumulator: float = 1e-6,
        bias_correction: bool = True,
        **options: Unpack[Options],
    ) -> None:
        own = {"initial_accumulator": initial_accumulator, "bias_correction": bias_correction}
        decay = as_weight_decay(weight_decay, decoupled=True)
        super().__init__(params, lr, betas, eps, decay, defaults=own, **options)

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the first moment at zero, the second just above."""
        super().init_state(state, group, param)
        start = group["initial_accumulator"]
        # Of a complex parameter, both parts.
        state["exp_avg_sq"] = torch.full_like(
            param, complex(start, start) if param.is_complex() else start
        )

    def moments(self, state: State, group: Group, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Take the gradient into both moments, and return them."""
        beta1, beta2 = group["betas"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.lerp_(grad, 1 - beta1)
        square = grad.square()
        v.addcmul_((v - square).sign(), square, value=-(1 - beta2))
        return m, v

    def direction(self, state: State, group: Group, m: Tensor, v: Tensor) -> Tensor:
        """Return the first moment over the root of the second."""
        if group["bias_correction"]:
            return super().direction(state, group, m, v)
        return m / (v.sqrt() + group["eps"])
